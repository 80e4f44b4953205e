//! The server's end of the socket. Reads no more than a line may be long.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::protocol::{self, LINE_BYTES_MAX};

#[derive(Debug)]
pub(crate) struct Wire {
    stream: BufReader<UnixStream>,
}

impl Wire {
    pub(crate) fn new(socket: StdUnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, UnixStream::from_std(socket)?) })
    }

    pub(crate) async fn send<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let line = protocol::line(message)?;
        if line.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the request is too long"));
        }
        self.stream.get_mut().write_all(&line).await
    }

    pub(crate) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let line = self.receive_line().await?;
        Ok(serde_json::from_slice(&line)?)
    }

    async fn receive_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let chunk = self.stream.fill_buf().await?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(chunk.len(), |end| end + 1);
            line.extend_from_slice(&chunk[..taken]);
            self.stream.consume(taken);
            if line.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            if end.is_some() {
                return Ok(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::protocol::Response;

    async fn receive(bytes: Vec<u8>) -> io::Result<Response> {
        let (ours, mut theirs) = StdUnixStream::pair().unwrap();
        let writer = std::thread::spawn(move || theirs.write_all(&bytes));
        let mut wire = Wire::new(ours).unwrap();
        let response = wire.receive().await;
        drop(wire);
        let _ = writer.join().unwrap();
        response
    }

    #[tokio::test]
    async fn garbage_endless_and_missing_answers_are_errors() {
        assert!(receive(b"\xff\xfe not json\n".to_vec()).await.is_err());
        assert_eq!(receive(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(receive(b"{\"id\":1".to_vec()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let endless = vec![b'x'; LINE_BYTES_MAX + 100_000];
        assert_eq!(receive(endless).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
