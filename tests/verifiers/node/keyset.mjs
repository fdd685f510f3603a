// The `fetcher` of jwks-rsa: fetches a keyset, and does not ask again within `pause` seconds.
export function seldom(pause) {
  let asked = -Infinity;
  let keyset;
  return (url) => {
    if (performance.now() - asked >= pause * 1000) {
      asked = performance.now();
      keyset = download(url);
      // What failed is tried again at once.
      keyset.catch(() => { asked = -Infinity; });
    }
    return keyset;
  };
}

async function download(url) {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(`the keyset: ${answer.status}`);
  return answer.json();
}
