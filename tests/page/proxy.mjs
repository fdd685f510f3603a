// What stands before `attest upstream` here: it puts the headers of a state on each request.
import { once } from 'node:events';
import { createServer, request } from 'node:http';

export class Proxy {
  /** The headers to add, as pairs: a name may be there twice. */
  headers = [];
  #server = createServer((incoming, outgoing) => {
    const own = incoming.rawHeaders.concat(this.headers.flat());
    const onward = request(this.upstream + incoming.url, { method: incoming.method, headers: own, agent: false });
    onward.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });

  async start() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.url = `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
