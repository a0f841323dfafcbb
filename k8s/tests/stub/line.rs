//! Connections that a handler can cut before its answer is written.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The handler's end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    peer: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Line {
    /// Cuts the connection, so that nothing of `response` is sent.
    pub(crate) fn cut(&self, response: Response) -> Response {
        self.cut.store(true, Ordering::SeqCst);
        response
    }
}

/// Accepts connections that can be cut.
pub(crate) struct Lines(pub(crate) TcpListener);

impl Listener for Lines {
    type Io = Severable;
    type Addr = Line;

    async fn accept(&mut self) -> (Severable, Line) {
        let (stream, peer) = Listener::accept(&mut self.0).await;
        let line = Line { peer, cut: Arc::default() };
        (Severable { stream, line: line.clone() }, line)
    }

    fn local_addr(&self) -> io::Result<Line> {
        Ok(Line { peer: self.0.local_addr()?, cut: Arc::default() })
    }
}

impl Connected<IncomingStream<'_, Lines>> for Line {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}

/// A connection whose writes fail once its line is cut, which makes the server close it.
pub(crate) struct Severable {
    stream: TcpStream,
    line: Line,
}

impl Severable {
    fn check(&self) -> io::Result<()> {
        if self.line.cut.load(Ordering::SeqCst) {
            let reason = format!("the line to {} was cut", self.line.peer);
            return Err(io::Error::new(ErrorKind::ConnectionReset, reason));
        }
        Ok(())
    }
}

impl AsyncRead for Severable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Severable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
