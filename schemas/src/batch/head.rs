//! The heads of messages: the same producer begins each message with the same schema, byte for byte.
//!
//! A stream is a schema, batches and an end mark. A schema costs more to read than the batch of a small message; one whose
//! bytes are known costs a comparison. Whatever is not exactly such a stream is left to the long way, which also has the
//! words for what is wrong with it.

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::{MessageHeader, root_as_message};

/// Heads that are remembered at once: as many kinds of producers as one worker is likely to read.
const HEADS_MAX: usize = 8;

/// Longest head that is remembered, in bytes; one of all columns has four thousand.
const HEAD_BYTES_MAX: usize = 1 << 16;

/// What every part of a stream begins with.
const MARK: [u8; 4] = [0xff; 4];

/// The end mark: a part of length zero.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Heads of messages that were read, the one read last at the end.
#[derive(Debug, Default)]
pub(crate) struct Heads(Vec<Head>);

/// A schema as bytes, and as a decoder that has read it.
#[derive(Debug)]
struct Head {
    bytes: Vec<u8>,
    // Invariant: it has read the schema and the mark of the part that follows, and nothing else.
    decoder: StreamDecoder,
}

impl Heads {
    /// The batches of a message whose head is known; none where the message has to be read the long way.
    pub(super) fn batches(&mut self, message: &[u8]) -> Option<Vec<RecordBatch>> {
        let known = self.0.iter().position(|head| message.starts_with(&head.bytes))?;
        // Taken out, and put back only once all went well: after an error or a panic its decoder may stand anywhere.
        let mut head = self.0.remove(known);
        let batches = head.batches(message)?;
        self.0.push(head);
        Some(batches)
    }

    /// Remembers the head of a message that was read the long way and whose schema was found good.
    pub(super) fn remember(&mut self, message: &[u8]) {
        if let Some(head) = Head::of(message) {
            if self.0.len() == HEADS_MAX {
                self.0.remove(0);
            }
            self.0.push(head);
        }
    }
}

impl Head {
    fn of(message: &[u8]) -> Option<Self> {
        let length = u32::from_le_bytes(message.strip_prefix(&MARK)?.first_chunk().copied()?) as usize;
        let bytes = message.get(..length.checked_add(END.len())?)?;
        let schema = root_as_message(&bytes[END.len()..]).ok()?;
        if bytes.len() > HEAD_BYTES_MAX || schema.header_type() != MessageHeader::Schema || schema.bodyLength() != 0 {
            return None;
        }
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut Buffer::from(bytes)).ok()?;
        decoder.decode(&mut Buffer::from(&MARK)).ok()?;
        Some(Self { bytes: bytes.to_vec(), decoder })
    }

    fn batches(&mut self, message: &[u8]) -> Option<Vec<RecordBatch>> {
        let rest = message[self.bytes.len()..].strip_prefix(&MARK)?.strip_suffix(&END)?;
        let first = self.bytes.len() + MARK.len();
        let mut parts = Buffer::from(message).slice_with_length(first, rest.len());
        let mut batches = Vec::new();
        while let Some(batch) = self.decoder.decode(&mut parts).ok()? {
            batches.push(batch);
        }
        // Between two parts, and not behind an end mark: the next mark is then that of the next message's first batch.
        self.decoder.finish().ok()?;
        self.decoder.decode(&mut Buffer::from(&MARK)).ok()?;
        Some(batches)
    }
}
