//! What must hold of the parsers for any input. Property tests and fuzz targets call the same functions.
//!
//! Each takes whatever comes from a network and panics when a promise is broken; none returns anything.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::pcp::{Message, Uri};
use super::pxp;

/// A URI that parses is made of the parts that it shows, and nothing else parses.
///
/// # Panics
/// When that does not hold.
pub fn uri(text: &str) {
    let Ok(uri) = Uri::parse(text) else {
        let parts: Vec<&str> = text.splitn(4, '/').collect();
        let looks_right = matches!(parts.as_slice(), ["pcp:", "", _, kind] if !kind.is_empty() && !kind.contains('/'));
        assert!(!looks_right, "'{text}' was refused");
        return;
    };
    assert_eq!(uri.as_str(), text);
    assert_eq!(Uri::of(uri.common_name(), uri.kind()), uri);
    assert!(uri.matches(&uri), "every URI matches itself");
}

/// A message that decodes survives a round trip.
///
/// # Panics
/// When that does not hold.
pub fn message(text: &str) {
    let Ok(first) = Message::decode(text) else { return };
    let encoded = first.encode();
    let second = Message::decode(&encoded).expect("what we encode, we decode");
    assert_eq!(second.encode(), encoded);
    assert_eq!((first.id, &first.message_type, &first.target), (second.id, &second.message_type, &second.target));
    assert_eq!((&first.sender, first.in_reply_to), (&second.sender, second.in_reply_to));
    assert_eq!(first.data.is_some(), second.data.is_some());
    data(first.data.as_deref().map_or("null", |data| data.get()));
}

/// PXP data that decode survive a round trip, as any type that takes them.
///
/// # Panics
/// When that does not hold.
pub fn data(text: &str) {
    round_trip::<pxp::BlockingRequest>(text);
    round_trip::<pxp::NonBlockingRequest>(text);
    round_trip::<pxp::ProvisionalResponse>(text);
    round_trip::<pxp::Response>(text);
    round_trip::<pxp::RpcError>(text);
    round_trip::<pxp::StatusResults>(text);
    round_trip::<pxp::ProcessResults>(text);
    round_trip::<pxp::CancelResults>(text);
    round_trip::<pxp::FileSpec>(text);
}

/// Values are not compared: decimal fractions may differ in their last place after a round trip.
fn round_trip<T: DeserializeOwned + Serialize>(text: &str) {
    let Ok(first) = serde_json::from_str::<T>(text) else { return };
    let encoded = serde_json::to_string(&first).expect("what was decoded encodes");
    serde_json::from_str::<T>(&encoded).expect("what we encode, we decode");
}
