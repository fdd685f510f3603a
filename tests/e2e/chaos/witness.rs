//! The service behind Envoy: it has every request judged that arrives, also one whose client has gone, and answers with
//! the assertion, so that clients have real ones to misuse.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::judge::Judge;
use harness::ASSERTION_HEADER;
use harness::message::{
    Lines, content_length, find, is_chunked, latin1, read_chunked, read_lines, read_sized, read_start_line,
};

/// Serves for as long as the test runs.
pub(super) fn start(judge: Arc<Judge>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind the upstream");
    let address = listener.local_addr().expect("the upstream's address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let judge = Arc::clone(&judge);
            thread::spawn(move || serve(stream, &judge));
        }
    });
    address
}

fn serve(stream: TcpStream, judge: &Judge) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some(start_line) = read_start_line(&mut reader)? {
        let headers = read_lines(&mut reader)?;
        let start_line = latin1(&start_line);
        judge.request(&start_line, &headers, Instant::now());
        let trailers = if is_chunked(&headers) {
            read_chunked(&mut reader)?.1
        } else {
            read_sized(&mut reader, content_length(&headers).unwrap_or(0))?;
            Lines::new()
        };
        judge.trailers(&start_line, &trailers);
        let token = find(&headers, ASSERTION_HEADER).unwrap_or_default();
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", token.len())?;
        writer.write_all(token)?;
    }
    Ok(())
}
