//! A request's body on its way to the primary, of which a copy is kept until it is whole.
//!
//! Invariant: what the primary gets is what came, frame by frame, as soon as it came. The copy is made beside it, up to
//! its bound, and given up when the body is larger, or breaks off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};

use crate::counts::Fate;
use crate::line::{Head, Place};

/// A body and its copy.
pub(crate) struct Teed<B: Body> {
    inner: B,
    copy: Option<Copy>,
}

/// What is kept until the request is whole.
pub(crate) struct Copy {
    pub(crate) head: Arc<Head>,
    pub(crate) places: Vec<Place>,
    /// The largest body that is kept.
    pub(crate) body_max: usize,
    pub(crate) body: BytesMut,
}

impl<B: Body> Teed<B> {
    /// A body, and a copy if one is wanted.
    pub(crate) fn new(inner: B, copy: Option<Copy>) -> Self {
        let mut teed = Self { inner, copy };
        teed.post_if_whole();
        teed
    }

    fn post_if_whole(&mut self) {
        if self.inner.is_end_stream() {
            self.copy.take().into_iter().for_each(Copy::post);
        }
    }

    fn give_up(&mut self, fate: Fate) {
        self.copy.take().into_iter().for_each(|copy| copy.give_up(fate));
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Teed<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let fits = match (&mut self.copy, frame.data_ref()) {
                    (Some(copy), Some(data)) => copy.add(data),
                    _ => true,
                };
                if !fits {
                    self.give_up(Fate::TooLarge);
                }
                self.post_if_whole();
            }
            Poll::Ready(Some(Err(_))) => self.give_up(Fate::CutOff),
            Poll::Ready(None) => self.copy.take().into_iter().for_each(Copy::post),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> Drop for Teed<B> {
    /// A body that is dropped before its end was not read: the primary answered early, or could not be reached.
    fn drop(&mut self) {
        self.post_if_whole();
        self.give_up(Fate::CutOff);
    }
}

impl Copy {
    /// Adds what came, if it fits. It is copied, so that a copy that waits holds no buffer of the client's connection.
    fn add(&mut self, data: &Bytes) -> bool {
        let fits = self.body.len() + data.len() <= self.body_max;
        if fits {
            self.body.extend_from_slice(data);
        }
        fits
    }

    fn post(self) {
        let body = self.body.freeze();
        self.places.into_iter().for_each(|place| place.post(Arc::clone(&self.head), body.clone()));
    }

    fn give_up(self, fate: Fate) {
        self.places.into_iter().for_each(|place| place.give_up(fate));
    }
}
