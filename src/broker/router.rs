//! What happens with a message: who sent it, may they, and where it goes (`docs/pcp.md` §5, §6).

use std::sync::Arc;

use uuid::Uuid;

use super::inflight::Inflight;
use super::inventory::{ChangeEntry, InventoryRequest, InventoryResponse, InventoryUpdate};
use super::outbox::Frame;
use super::sessions::{Session, Sessions, Stop};
use super::ws::Close;
use super::{Controller, Options, same_node};
use crate::wire::pcp::{BROKER_URI, Message, MessageType, Uri};

const UNDECODABLE: &str = "Could not decode message";
const NOT_AUTHENTICATED: &str = "Message not authenticated.";
const NOT_AUTHORIZED: &str = "Message not authorized.";
const MULTICAST: &str = "Multiple recipients no longer supported.";
const NOT_CONNECTED: &str = "Not connected.";
const QUEUE_FULL: &str = "The target does not read its messages.";
const BAD_INVENTORY_REQUEST: &str = "Invalid data in inventory request.";

/// What a message means for the session it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// The session is no longer the one of its URI: what it says does not count.
    Superseded,
    /// The session ends with this message and a close frame.
    Close(String, Close),
}

/// Where a message that passed all checks goes.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// To our own controller.
    Controller,
    /// To the broker itself.
    Broker,
    /// To another client.
    Client(Uri),
}

/// Everything that sessions share.
pub(super) struct Router {
    pub(super) options: Options,
    pub(super) sessions: Arc<Sessions>,
    pub(super) controller: Arc<dyn Controller>,
    /// The memory of large messages.
    pub(super) inflight: Arc<Inflight>,
    broker: Uri,
}

impl Router {
    pub(super) fn new(options: Options, sessions: Arc<Sessions>, controller: Arc<dyn Controller>) -> Self {
        let broker = Uri::parse(BROKER_URI).expect("the broker's own URI is one");
        let inflight = Inflight::new(options.max_inflight, options.max_message_size);
        Self { options, sessions, controller, inflight, broker }
    }

    /// Handles one text message of a session.
    pub(super) fn receive(&self, session: &Session, text: &str) -> Flow {
        if session.is_superseded() {
            return Flow::Superseded;
        }
        let Ok(mut message) = Message::decode(text) else { return self.undecodable(session) };
        let sender = message.sender.get_or_insert_with(|| session.peer.uri.clone());
        if !same_node(&session.peer.node, sender.common_name()) {
            self.note(session, "a message names another sender than the certificate");
            let last_words = self.error(session, NOT_AUTHENTICATED, Some(message.id)).encode();
            return Flow::Close(last_words, Close { code: 4002, reason: NOT_AUTHENTICATED });
        }
        match self.way(session, &message) {
            Ok(Way::Controller) => self.controller.received(&session.peer, message),
            Ok(Way::Broker) => self.serve(session, &message),
            Ok(Way::Client(target)) => self.forward(session, &target, message),
            Err(text) => {
                self.note(session, text);
                self.answer(session, text, Some(message.id));
            }
        }
        Flow::Continue
    }

    /// Answers something that is no PCP message.
    pub(super) fn undecodable(&self, session: &Session) -> Flow {
        self.note(session, UNDECODABLE);
        self.answer(session, UNDECODABLE, None);
        Flow::Continue
    }

    fn way(&self, session: &Session, message: &Message) -> Result<Way, &'static str> {
        let target = message.target.as_ref().unwrap_or(&self.broker);
        let way = if session.is_agent() {
            self.way_of_agent(target, &message.message_type)
        } else {
            self.way_of_controller(target, &message.message_type)
        };
        let way = way.ok_or(NOT_AUTHORIZED)?;
        if target.is_pattern() { Err(MULTICAST) } else { Ok(way) }
    }

    /// Nodes answer controllers and nobody else; they command nothing.
    fn way_of_agent(&self, target: &Uri, kind: &MessageType) -> Option<Way> {
        match kind {
            MessageType::ProvisionalResponse
            | MessageType::BlockingResponse
            | MessageType::NonBlockingResponse
            | MessageType::RpcErrorMessage
            | MessageType::ErrorMessage => {
                if *target == self.options.own_uri || *target == self.broker {
                    Some(Way::Controller)
                } else if target.kind() == super::sessions::AGENT {
                    None
                } else if self.is_controller(target) {
                    Some(Way::Client(target.clone()))
                } else {
                    // The sender URI of former days: answers are matched by transaction and certificate, not by target.
                    Some(Way::Controller)
                }
            }
            MessageType::AssociateRequest if *target == self.broker => Some(Way::Broker),
            _ => None,
        }
    }

    /// Configured controllers ask for the inventory and send requests to nodes.
    fn way_of_controller(&self, target: &Uri, kind: &MessageType) -> Option<Way> {
        match kind {
            MessageType::InventoryRequest | MessageType::AssociateRequest if *target == self.broker => {
                Some(Way::Broker)
            }
            MessageType::BlockingRequest | MessageType::NonBlockingRequest if *target != self.broker => {
                Some(Way::Client(target.clone()))
            }
            _ => None,
        }
    }

    fn is_controller(&self, uri: &Uri) -> bool {
        self.options.controllers.iter().any(|name| same_node(name, uri.common_name()))
    }

    /// What the broker itself understands; version 2 needs no association, so a request for one is left unanswered.
    fn serve(&self, session: &Session, message: &Message) {
        if message.message_type != MessageType::InventoryRequest {
            tracing::debug!(node = %session.peer.node, uri = %session.peer.uri, "an associate request on a session of version 2 is ignored");
            return;
        }
        let Ok(request) = message.data_as::<InventoryRequest>() else {
            return self.answer(session, BAD_INVENTORY_REQUEST, Some(message.id));
        };
        let uris = self.sessions.inventory(session, request.query, request.subscribe);
        let (sender, target) = (Some(self.broker.clone()), Some(session.peer.uri.clone()));
        let data = InventoryResponse { uris };
        let mut response = Message::new(MessageType::InventoryResponse, sender, target, Some(&data));
        response.in_reply_to = Some(message.id);
        self.queue(session, &response);
    }

    fn forward(&self, session: &Session, target: &Uri, message: Message) {
        let id = message.id;
        if let Err(error) = self.sessions.send_to(target, Frame::plain(message.encode())) {
            let text = match error {
                super::NotQueued::NotConnected | super::NotQueued::AnotherAgent => NOT_CONNECTED,
                super::NotQueued::Full => QUEUE_FULL,
            };
            self.answer(session, text, Some(id));
        }
    }

    /// Sends every subscriber the changes since the last call.
    pub(super) fn publish_inventory(&self) {
        for (subscriber, changes) in self.sessions.take_changes() {
            let entry =
                |(client, change): (Uri, super::inventory::Change)| ChangeEntry { client, change: change.number() };
            let update = InventoryUpdate { changes: changes.into_iter().map(entry).collect() };
            let message = Message::new(
                MessageType::InventoryUpdate,
                Some(self.broker.clone()),
                Some(subscriber.clone()),
                Some(&update),
            );
            if self.sessions.send_to(&subscriber, Frame::plain(message.encode())).is_err() {
                // Whoever misses one change knows nothing any more; a new session begins with the whole inventory.
                self.sessions.stop(&subscriber, Stop::Close(Close { code: 1011, reason: "Inventory update lost." }));
            }
        }
    }

    fn error(&self, session: &Session, text: &str, in_reply_to: Option<Uuid>) -> Message {
        let (sender, target) = (Some(self.broker.clone()), Some(session.peer.uri.clone()));
        let mut message = Message::new(MessageType::ErrorMessage, sender, target, Some(text));
        message.in_reply_to = in_reply_to;
        message
    }

    fn answer(&self, session: &Session, text: &str, in_reply_to: Option<Uuid>) {
        self.queue(session, &self.error(session, text, in_reply_to));
    }

    fn queue(&self, session: &Session, message: &Message) {
        if session.outbox.push(Frame::plain(message.encode())).is_err() {
            tracing::debug!(node = %session.peer.node, uri = %session.peer.uri, "an answer of the broker was dropped: the peer does not read");
        }
    }

    fn note(&self, session: &Session, what: &str) {
        if session.peer.first_oddity() {
            tracing::warn!(node = %session.peer.node, uri = %session.peer.uri, what, "a client misbehaves; further cases of this session are not logged");
        }
    }
}
