//! Blocking requests that somebody waits for right here, unlike those about a run, whose answers go to its job.

use std::collections::HashMap;

use bunraku_actors::model::CertName;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

/// The results, or the agent's words for why there are none.
pub(super) type Answered = Result<Value, String>;

/// Who waits for which answer, by the request's id, which is also its transaction id.
#[derive(Debug, Default)]
pub(super) struct Asks(Mutex<HashMap<Uuid, (CertName, oneshot::Sender<Answered>)>>);

/// A wait; given up when dropped.
pub(super) struct Wait<'a> {
    asks: &'a Asks,
    pub(super) id: Uuid,
    answer: oneshot::Receiver<Answered>,
}

impl Asks {
    /// Begins to wait for this node's answer to a request with the id that it returns.
    pub(super) fn wait(&self, node: &CertName) -> Wait<'_> {
        let (reply, answer) = oneshot::channel();
        let id = Uuid::new_v4();
        self.0.lock().insert(id, (node.clone(), reply));
        Wait { asks: self, id, answer }
    }

    /// Hands an answer to whoever waits for it; gives it back when nobody does, or another node answered.
    pub(super) fn answer(&self, node: &CertName, id: Uuid, answer: Answered) -> Result<(), Answered> {
        let mut asks = self.0.lock();
        match asks.get(&id) {
            Some((asked, _)) if asked == node => {}
            _ => return Err(answer),
        }
        match asks.remove(&id) {
            Some((_, reply)) => reply.send(answer),
            None => Err(answer),
        }
    }

    /// Whether this node is asked under that id.
    pub(super) fn knows(&self, node: &CertName, id: Uuid) -> bool {
        self.0.lock().get(&id).is_some_and(|(asked, _)| asked == node)
    }
}

impl Wait<'_> {
    /// `None` when no answer can come any more.
    pub(super) async fn answer(&mut self) -> Option<Answered> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.asks.0.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn only_the_node_that_was_asked_answers_and_only_once() {
        let asks = Asks::default();
        let (a, b) = (CertName::parse("a").unwrap(), CertName::parse("b").unwrap());
        let mut wait = asks.wait(&a);
        let id = wait.id;
        assert!(asks.knows(&a, id) && !asks.knows(&b, id));
        assert!(asks.answer(&b, id, Ok(json!(1))).is_err());
        assert_eq!(asks.answer(&a, id, Ok(json!(2))), Ok(()));
        assert!(asks.answer(&a, id, Ok(json!(3))).is_err());
        assert_eq!(wait.answer().await, Some(Ok(json!(2))));
        let given_up = asks.wait(&a);
        let id = given_up.id;
        drop(given_up);
        assert!(!asks.knows(&a, id));
    }
}
