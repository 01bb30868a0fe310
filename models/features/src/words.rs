//! Numbers in a saved series: of fixed size, little-endian, whatever the machine.

/// A number as bytes.
pub(crate) trait Word: Copy {
    /// Appends words.
    fn put<const N: usize>(words: [Self; N], bytes: &mut Vec<u8>);

    /// Takes words off the front of what is left; nothing where that is less.
    fn take<const N: usize>(left: &mut &[u8]) -> Option<[Self; N]>;
}

macro_rules! word {
    ($($number:ty),*) => {$(
        impl Word for $number {
            #[inline]
            fn put<const N: usize>(words: [Self; N], bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(words.map(Self::to_le_bytes).as_flattened());
            }

            #[inline]
            fn take<const N: usize>(left: &mut &[u8]) -> Option<[Self; N]> {
                let (words, _) = left.split_off(..size_of::<[Self; N]>())?.as_chunks();
                words.first_chunk().map(|words| words.map(Self::from_le_bytes))
            }
        }
    )*};
}

word!(u16, u32, u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bytes_come_first_and_none_is_read_twice() {
        let mut bytes = Vec::new();
        u16::put([0x0201], &mut bytes);
        u32::put([0x0605_0403, 7], &mut bytes);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 0, 0, 0]);
        let mut left = bytes.as_slice();
        assert_eq!(u16::take(&mut left), Some([0x0201]));
        assert_eq!(u64::take::<2>(&mut left), None);
        assert_eq!(u32::take(&mut left), Some([0x0605_0403, 7]));
        assert_eq!(u16::take::<1>(&mut left), None);
    }
}
