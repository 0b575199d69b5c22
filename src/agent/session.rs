//! One connection: frames in go to the dispatcher's queue, what the outbox holds goes out, pings keep it alive.
//!
//! It decides nothing about frames, and never waits for an action.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::answer;
use super::client::Socket;
use super::outbox::Next;
use super::state::Agent;

/// How long the broker may stay silent after a ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error("the broker closed with code {code}: {reason}")]
    Closed { code: u16, reason: String },
    #[error("the connection ended without a close frame")]
    Dropped,
    #[error("the broker answered no ping within {PONG_TIMEOUT:?}")]
    Silent,
    #[error("the connection broke: {0}")]
    Broken(Box<WsError>),
    #[error("the agent is stopping")]
    Stopping,
}

impl From<WsError> for SessionEnd {
    fn from(error: WsError) -> Self {
        match error {
            WsError::ConnectionClosed | WsError::AlreadyClosed => Self::Dropped,
            error => Self::Broken(Box::new(error)),
        }
    }
}

/// Serves a connection until it ends. Frames that were put into `frames` outlive it and are still processed.
pub(super) async fn serve(agent: &Agent, socket: Socket, frames: &mpsc::Sender<String>) -> SessionEnd {
    let (sink, stream) = socket.split();
    let heard = Notify::new();
    agent.outbox.set_connected(true);
    let end = tokio::select! {
        end = read(stream, frames, &heard) => end,
        end = write(agent, sink) => end,
        end = listen(agent.config.ping_interval, &heard) => end,
    };
    agent.outbox.set_connected(false);
    end
}

/// When the queue is full, reading pauses, which slows the broker down and loses nothing.
async fn read(mut stream: SplitStream<Socket>, frames: &mpsc::Sender<String>, heard: &Notify) -> SessionEnd {
    loop {
        let message = match stream.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return error.into(),
            None => return SessionEnd::Dropped,
        };
        heard.notify_one();
        match message {
            Message::Text(text) => {
                if frames.send(text.as_str().to_owned()).await.is_err() {
                    return SessionEnd::Stopping;
                }
            }
            Message::Close(frame) => return closed(frame),
            Message::Binary(bytes) => {
                tracing::warn!(bytes = bytes.len(), "dropped a binary message: PCP version 2 is text");
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn closed(frame: Option<CloseFrame>) -> SessionEnd {
    match frame {
        Some(frame) => SessionEnd::Closed { code: frame.code.into(), reason: frame.reason.as_str().to_owned() },
        None => SessionEnd::Dropped,
    }
}

async fn write(agent: &Agent, mut sink: SplitSink<Socket, Message>) -> SessionEnd {
    let mut pings = interval(agent.config.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            _ = pings.tick() => sink.send(Message::Ping(Vec::new().into())).await,
            next = agent.outbox.next() => write_next(agent, &mut sink, next).await,
        };
        if let Err(error) = sent {
            return error.into();
        }
    }
}

async fn write_next(agent: &Agent, sink: &mut SplitSink<Socket, Message>, next: Next) -> Result<(), WsError> {
    match next {
        Next::Answer(frame) => sink.send(Message::text(frame)).await,
        Next::Final(transaction) => {
            if let Some(frame) = answer::final_frame(agent, transaction).await {
                sink.send(Message::text(frame)).await?;
                tracing::info!(%transaction, "sent the final answer");
                answer::mark_notified(agent, transaction).await;
            }
            agent.outbox.sent(transaction);
            Ok(())
        }
    }
}

/// Ends the connection when nothing was heard for a ping interval and the time that a pong may take.
async fn listen(ping_interval: Duration, heard: &Notify) -> SessionEnd {
    while timeout(ping_interval + PONG_TIMEOUT, heard.notified()).await.is_ok() {}
    SessionEnd::Silent
}
