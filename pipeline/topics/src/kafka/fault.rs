//! librdkafka's error codes as ours.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::KafkaSettings;
use super::context::Complaint;
use crate::Error;

/// Our error for a failed call. A call that got no answer says so only; why is in the client's last complaint.
pub(super) fn of(settings: &KafkaSettings, doing: &str, error: &KafkaError, complaint: Option<Complaint>) -> Error {
    let place = settings.brokers.clone();
    let reason = error.to_string();
    match error {
        KafkaError::ClientConfig(_, what, name, _) => Error::Setting { name: name.clone(), reason: what.clone() },
        KafkaError::ClientCreation(what) => Error::Setting { name: "options".to_owned(), reason: what.clone() },
        _ if error.rdkafka_error_code().is_some_and(is_denial) => {
            Error::Denied { place, doing: doing.to_owned(), reason }
        }
        _ if !error.rdkafka_error_code().is_some_and(is_silence) => {
            let reason = match complaint {
                Some(Complaint { text, .. }) => format!("{reason}; {text}"),
                None => reason,
            };
            Error::Broker { place, doing: doing.to_owned(), reason }
        }
        _ => match complaint {
            Some(Complaint { code, text }) if is_denial(code) => {
                Error::Denied { place, doing: "connect".to_owned(), reason: text }
            }
            complaint => Error::Unreachable {
                place,
                waited: settings.contact_timeout,
                reason: complaint.map_or(reason, |complaint| complaint.text),
            },
        },
    }
}

/// Whether a topic or partition is not there, or has not come yet.
pub(super) fn is_unknown(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition | Code::LeaderNotAvailable)
    )
}

/// Whether a connection was lost that the client is making again by itself.
pub(super) fn is_passing(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut))
}

/// Whether a newer producer with the same transactional id took over.
pub(super) fn is_fenced(code: Code) -> bool {
    matches!(code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
}

/// Whether nobody answered.
fn is_silence(code: Code) -> bool {
    matches!(code, Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
}

/// Whether the broker, or we, refused the other's credentials.
fn is_denial(code: Code) -> bool {
    matches!(
        code,
        Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
    )
}
