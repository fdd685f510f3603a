// The provider's pages: where people sign in, and where they are asked whether they mean to sign out.
const STYLE = `
  body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #16202c; background: #f4f6f8; }
  main { width: 320px; margin: 48px auto; padding: 24px 32px 32px; background: #fff; border: 1px solid #dfe5ec; border-radius: 12px; }
  h1 { margin: 0; font-size: 22px; }
  p { margin: 4px 0 16px; color: #556; }
  label { display: block; margin-top: 12px; font-size: 14px; }
  input, button { box-sizing: border-box; width: 100%; padding: 10px; font: inherit; border: 1px solid #b8c2cc; border-radius: 8px; }
  button { margin-top: 20px; font-weight: 600; color: #fff; background: #1a6fc4; border-color: #1a6fc4; cursor: pointer; }
  button.second { margin-top: 8px; color: #16202c; background: #fff; border-color: #b8c2cc; }`;

function page(title, content) {
  return `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${title}</title><style>${STYLE}</style><main><h1>${title}</h1>${content}</main></html>`;
}

export function signInPage(uid) {
  return page('Sign in', `<p>Example Company</p>
<form method="post" action="/interaction/${uid}">
<label>User name<input name="login" autocomplete="username" required autofocus pattern="[a-z0-9.\\-]+"></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Sign in</button></form>`);
}

/** `form` is oidc-provider's own, with the ID that the buttons belong to. */
export function signOutPage(form) {
  return page('Sign out', `<p>The app has signed you out. Sign out of Example Company as well?</p>${form}
<button type="submit" form="op.logoutForm" name="logout" value="yes" autofocus>Sign out</button>
<button type="submit" form="op.logoutForm" class="second">Stay signed in</button>`);
}
