//! What is saved comes back to the bit, beside any other series; what was not saved does not come in.

use proptest::prelude::*;

use super::*;
use crate::bank::tests::{Tick, fold_of, settled, streams, windows};

fn saved(bank: &Bank, series: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    bank.save(series, &mut bytes);
    bytes
}

/// Folds a tick; the features then, as text: the debug form tells -0.0 from 0.0 and prints floats in full.
fn folded(bank: &mut Bank, series: usize, (start_ms, values): &Tick) -> String {
    fold_of(bank, series, *start_ms, values);
    format!("{:?}", bank.features(series))
}

/// A bank with a stream folded into its only series.
fn filled(tick_ms: u64, ticks: &[Tick]) -> Bank {
    let mut bank = windows(tick_ms);
    ticks.iter().for_each(|(start_ms, values)| fold_of(&mut bank, 0, *start_ms, values));
    bank
}

/// What a bank refuses leaves no trace: no series, and no panes where the next series' would be.
fn assert_refused(bank: &mut Bank, garbled: &[u8], why: RestoreError) {
    let before = saved(bank, 0);
    assert_eq!(bank.restore(garbled), Err(why));
    assert_eq!(saved(bank, 0), before);
    let next = bank.clone().restore(&before).expect("what was saved");
    assert_eq!(next, bank.series.len());
}

/// With the checksum that belongs to the bytes.
fn forged(mut body: Vec<u8>) -> Vec<u8> {
    u32::put([crc32fast::hash(&body)], &mut body);
    body
}

proptest! {
    #[test]
    fn a_restored_series_goes_on_alike((tick_ms, ticks) in streams(), cut in 0usize..60) {
        let (before, after) = ticks.split_at(cut.min(ticks.len()));
        let mut lasting = filled(tick_ms, before);
        let mut alone = Bank::new(tick_ms).expect("an allowed tick");
        // The stranger's values come with every other tick, and come on while the restored series is folded beside it.
        let (strange, stranger): (Vec<_>, usize) = (ticks.iter().step_by(2).cloned().collect(), 0);
        let mut crowded = filled(tick_ms, &strange);
        for bank in [&mut alone, &mut crowded] {
            let number = bank.restore(&saved(&lasting, 0)).expect("what was saved");
            prop_assert_eq!(saved(bank, number), saved(&lasting, 0));
            prop_assert_eq!(format!("{:?}", bank.features(number)), format!("{:?}", lasting.features(0)));
        }
        let undisturbed = saved(&crowded, stranger);
        for tick in after {
            let features = folded(&mut lasting, 0, tick);
            prop_assert_eq!(&folded(&mut alone, 0, tick), &features);
            prop_assert_eq!(&folded(&mut crowded, 1, tick), &features);
            prop_assert_eq!(saved(&alone, 0), saved(&lasting, 0));
            prop_assert_eq!(saved(&crowded, 1), saved(&lasting, 0));
        }
        prop_assert_eq!(saved(&crowded, stranger), undisturbed);
    }

    #[test]
    fn bytes_that_were_not_saved_are_refused((tick_ms, ticks) in streams(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bank = filled(tick_ms, &ticks);
        let whole = saved(&bank, 0);
        let at = at.index(whole.len());
        let mut flipped = whole.clone();
        flipped[at] ^= 1u8 << bit;
        let longer = [whole.as_slice(), &[0]].concat();
        for garbled in [flipped.as_slice(), &whole[..at], &whole[at + 1..], &longer] {
            assert_refused(&mut bank, garbled, RestoreError::Garbled);
        }
    }

    #[test]
    fn not_even_a_right_checksum_under_wrong_bytes_ends_the_process(
        (tick_ms, ticks) in streams(),
        wrong in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![0u8, 1, 0x7f, 0x80, 0xff])), 1..9),
        cut in 0usize..40,
    ) {
        let mut bank = filled(tick_ms, &ticks);
        let mut body = saved(&bank, 0);
        body.truncate(body.len() - size_of::<u32>() - cut);
        for (at, byte) in wrong {
            // The tick's length is left alone, so that the rest is looked at.
            let at = 8 + at.index(body.len() - 8);
            body[at] = byte;
        }
        let before = (bank.series.len(), saved(&bank, 0));
        if bank.restore(&forged(body)).is_err() {
            prop_assert_eq!((bank.series.len(), saved(&bank, 0)), before);
        }
    }
}

#[test]
fn what_no_bank_saves_is_refused_under_any_checksum() {
    let mut bank = windows(1_000);
    let empty = saved(&bank, 0);
    let body = &empty[..empty.len() - size_of::<u32>()];
    // The second long is the next tick: this one begins later than milliseconds can tell.
    let mut late = body.to_vec();
    late[8..16].fill(0xff);
    // After 11 longs the 83 panes, none with values: one byte. The closed blocks of the minute and the closed minutes of the
    // quarter, the second and third pane, are merged; with the most values in each the count of that would overflow.
    let most = [0, 0xff, 0xff, 0xff, 0xff].into_iter().chain([0; 28]);
    let panes: Vec<u8> = [1 + 1].into_iter().chain(most.clone()).chain(most).chain([1 + 80]).collect();
    let mut many = body.to_vec();
    many.splice(88..89, panes);
    let longer = [body, &[0]].concat();
    for wrong in [late, many, longer] {
        assert_refused(&mut bank, &forged(wrong), RestoreError::Garbled);
    }
}

#[test]
fn a_series_of_another_tick_is_refused() {
    let other = saved(&windows(100), 0);
    assert_refused(&mut windows(1_000), &other, RestoreError::OtherTick { tick_ms: 100 });
}

#[test]
fn a_series_is_appended_to_what_is_there() {
    let bank = filled(1_000, &[(5_000, vec![(5_250, 1.5)])]);
    let mut bytes = saved(&bank, 0);
    let one = bytes.len();
    bank.save(0, &mut bytes);
    let (first, second) = bytes.split_at(one);
    assert_eq!(first, second);
}

#[test]
fn what_is_not_there_takes_no_bytes() {
    // 11 longs, one byte for all 83 panes, 23 words for the counts, and the checksum.
    assert_eq!(saved(&windows(1_000), 0).len(), 88 + 1 + 92 + 4);
}

#[test]
fn a_saved_series_stays_within_the_documented_size() {
    // 10^0.041 = 1.1: within 10 %.
    for (tick_ms, step_ms, steady_kib, spread_kib) in
        [(1_000, 1_000, 2.2, 6.0), (1_000, 100, 4.2, 14.0), (100, 100, 9.7, 18.8)]
    {
        for (decades, kib) in [(0.041, steady_kib), (2.0, spread_kib)] {
            let bytes = saved(&settled(tick_ms, step_ms, decades), 0).len();
            assert!(bytes as f64 <= kib * 1_024.0, "{tick_ms} ms, {step_ms} ms, {decades} decades: {bytes} bytes");
        }
    }
}
