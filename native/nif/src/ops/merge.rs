//! Merging, step by step: `bets_merger` decides which table and when.

use bets_engine::merge::{Phase, Policy, Progress};
use bets_engine::table::{MergeChoice, Table};
use rustler::types::tuple::get_tuple;
use rustler::{Atom, Encoder, Env, Term};

use super::boolean;
use crate::access;
use crate::atoms;
use crate::error::Fail;
use crate::registry;
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// When a table is merged without being asked to.
#[derive(Clone, Copy, Debug)]
pub struct MergeOptions {
    /// What is worth a merge.
    pub policy: Policy,
    window: Window,
    /// Bytes a second; `None` is no limit.
    rate: Option<u64>,
}

/// The hours of the day in which merges may begin.
#[derive(Clone, Copy, Debug)]
enum Window {
    Always,
    Never,
    /// From the first hour to the end of the last one, over midnight if the last is lower.
    Hours(u8, u8),
}

impl Window {
    fn contains(self, hour: u8) -> bool {
        match self {
            Window::Always => true,
            Window::Never => false,
            Window::Hours(from, to) if from <= to => (from..=to).contains(&hour),
            Window::Hours(from, to) => hour >= from || hour <= to,
        }
    }
}

impl MergeOptions {
    /// Reads `{Window, FragMergeTrigger, DeadBytesMergeTrigger, FragThreshold, DeadBytesThreshold, SmallFileThreshold, Rate}`.
    pub fn decode(term: Term<'_>) -> Result<MergeOptions, Fail> {
        let fields = get_tuple(term).map_err(|_| Fail::none())?;
        let &[
            window,
            frag_merge_trigger,
            dead_merge_trigger,
            frag,
            dead,
            small,
            rate,
        ] = fields.as_slice()
        else {
            return Err(Fail::none());
        };
        let number = |term: Term<'_>| term.decode::<u64>().map_err(|_| Fail::none());
        let percent = |term: Term<'_>| term.decode::<u8>().map_err(|_| Fail::none());
        let window = match window.decode::<(u8, u8)>() {
            Ok((from, to)) => Window::Hours(from, to),
            Err(_) if window == atoms::always().to_term(term.get_env()) => Window::Always,
            Err(_) => Window::Never,
        };
        Ok(MergeOptions {
            policy: Policy {
                frag_merge_trigger: percent(frag_merge_trigger)?,
                dead_bytes_merge_trigger: number(dead_merge_trigger)?,
                frag_threshold: percent(frag)?,
                dead_bytes_threshold: number(dead)?,
                small_file_threshold: number(small)?,
            },
            window,
            rate: rate.decode().ok(),
        })
    }

    fn rate<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self.rate {
            Some(rate) => rate.encode(env),
            None => atoms::infinity().to_term(env),
        }
    }
}

/// What an opening merges by itself, unless merges are never wanted. A failure costs nothing but the space.
pub fn merge_crowd(table: &Table, options: &MergeOptions) {
    if !matches!(options.window, Window::Never) {
        let _ = table.merge_crowd(&options.policy);
    }
}

/// `merge_due(Hour) -> [Tab]`: the tables for which a merge is due, at this hour of the day.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all bodies")]
pub fn merge_due<'a>(call: &Call<'a>) -> Outcome<'a> {
    let hour: u8 = call.arg(0).decode().unwrap_or_default();
    let due: Vec<Term<'a>> = registry::all()
        .iter()
        .filter(|table| {
            let merge = &table.options.merge;
            access::is_open(call.env, table)
                && merge.window.contains(hour)
                && table.table.merge_due(&merge.policy)
        })
        .map(|table| table.identifier(call.env))
        .collect();
    Ok(due.encode(call.env))
}

/// `merge_start(Tab, everything | due) -> {ok, Rate} | nothing`: begins a merge, of so many bytes a second or `infinity`.
pub fn merge_start<'a>(call: &Call<'a>) -> Outcome<'a> {
    let what: Atom = call.arg(1).decode().map_err(|_| Fail::none())?;
    on_open(call, |table| {
        let merge = &table.options.merge;
        let choice = if what == atoms::everything() {
            MergeChoice::Everything
        } else {
            MergeChoice::Due(merge.policy)
        };
        Ok(if table.table.merge_start(choice)? {
            (atoms::ok(), merge.rate(call.env)).encode(call.env)
        } else {
            atoms::nothing().to_term(call.env)
        })
    })
}

/// `merge_step(Tab, Bytes) -> {Phase, Done, Total, Report} | nothing`: goes on with the merge, for about so many bytes of records. The phase `done` ends it.
pub fn merge_step<'a>(call: &Call<'a>) -> Outcome<'a> {
    let budget: u64 = call.arg(1).decode().map_err(|_| Fail::none())?;
    on_open(call, |table| {
        Ok(match table.table.merge_step(budget)? {
            Some(progress) => progress_term(call.env, &progress),
            None => atoms::nothing().to_term(call.env),
        })
    })
}

/// `merge_cancel(Tab) -> boolean()`: gives the merge up; `false` if there is none, or if it can only go on.
pub fn merge_cancel<'a>(call: &Call<'a>) -> Outcome<'a> {
    on_open(call, |table| Ok(boolean(call.env, table.table.merge_cancel())))
}

/// `segment_stats(Tab) -> [{Id, FirstSeq, LastSeq, Bytes, DeadBytes, KeptBytes, Damaged}]` of the sealed segments, in the order of their seqs.
pub fn segment_stats<'a>(call: &Call<'a>) -> Outcome<'a> {
    on_open(call, |table| {
        let segments = table.table.segments();
        let terms: Vec<Term<'a>> = segments
            .iter()
            .map(|segment| {
                let share = segment.share;
                let (first, last) = segment.seqs;
                (
                    segment.id,
                    first,
                    last,
                    share.bytes,
                    share.dead_bytes,
                    share.kept_bytes,
                    share.damaged,
                )
                    .encode(call.env)
            })
            .collect();
        Ok(terms.encode(call.env))
    })
}

/// Merging changes no object, so any process may ask for it.
fn on_open<'a>(call: &Call<'a>, f: impl FnOnce(&TableResource) -> Outcome<'a>) -> Outcome<'a> {
    access::with_open(call.arg(0), f)?.unwrap_or_else(|| Err(Fail::id()))
}

fn progress_term<'a>(env: Env<'a>, progress: &Progress) -> Term<'a> {
    let phase = match progress.phase {
        Phase::Mark => atoms::mark(),
        Phase::Copy => atoms::copy(),
        Phase::Filter => atoms::filter(),
        Phase::Publish => atoms::publish(),
        Phase::Relocate => atoms::relocate(),
        Phase::Retire => atoms::retire(),
        Phase::Done => atoms::done(),
    };
    let report = &progress.report;
    let report = (
        report.inputs.as_slice(),
        report.outputs.as_slice(),
        report.damaged.as_slice(),
        (report.input_bytes, report.output_bytes),
        (report.copied, report.dropped, report.kept),
    );
    (phase, progress.done, progress.total, report).encode(env)
}
