//! Steps of a traversal for match specifications: filters on stored bytes, ranges of keys.
//!
//! ```text
//! select(Tab, Place, Limit, Filter, Share) -> {[Object], done | Last}
//! Place  = {forward | backward, start | Last, Prefix}
//! Last   = [Key] | [Key, Seq]
//! Prefix = [{tuple, Arity} | cons | {term, Term}]
//! Filter = [{Arity, [{Position, Op, Constant}]}]
//! ```
//!
//! The objects come with the last one first; `Last` has the key of the last object that was looked at, whether it passed the
//! filter or not, and its seq if a bag has more objects of that key. Of a bag, more objects may come than asked for: whole keys if it can be. An empty
//! filter lets everything through, an arity of 0 stands for any. A prefix is how the bytes of the wanted keys begin: a term's
//! parts in order, up to the first that is not known; it counts in tables of type `ordered_set` only. Where all objects are kept as they are, `Share`
//! may be `true`: their binaries have memory in common then.

use std::ops::Bound;
use std::time::{Duration, Instant};

use bets_codec::key::{put_cons, put_tuple};
use bets_codec::object::filter::{Clause, Filter, Op, Test};
use bets_codec::object::range::Range;
use bets_engine::Key;
use bets_engine::table::{Cursor, Direction, TableKind};
use rustler::{Atom, Encoder, ListIterator, Term};
use smallvec::SmallVec;

use crate::access::{self, Need};
use crate::atoms;
use crate::codec::{self, Binaries, Budget};
use crate::error::Fail;
use crate::options::kind_atom;
use crate::raw::{element, empty_list, tuple};
use crate::schedule::{Call, Outcome};
use crate::table::TableResource;

/// One look at the engine takes so many objects at most.
const OBJECTS_MAX: usize = 128;

/// A step on a normal scheduler takes no further look after this. A look itself takes some tens of microseconds.
const NORMAL_STEP: Duration = Duration::from_micros(300);

/// One look reads not much more than this, in bytes.
const SCAN_BYTES: usize = 64 * 1024;

/// A step on a dirty scheduler ends after this.
const DIRTY_STEP: Duration = Duration::from_millis(5);

/// `describe(Tab, read | write) -> {Identifier, Type, Keypos}`, with the caller's right checked.
pub fn describe<'a>(call: &Call<'a>) -> Outcome<'a> {
    let need = if is(call.arg(1), atoms::read()) {
        Need::Read
    } else {
        Need::Write
    };
    access::with(call.arg(0), need, |table| {
        let meta = table.table.meta();
        Ok((table.identifier(call.env), kind_atom(meta.kind), meta.keypos).encode(call.env))
    })
}

/// `select(Tab, Place, Limit, Filter, Share) -> {[Object], done | Last}`.
pub fn select<'a>(call: &Call<'a>) -> Outcome<'a> {
    access::with(call.arg(0), Need::Read, |table| {
        let started = Instant::now();
        let limit: usize = call.arg(2).decode().map_err(|_| Fail::none())?;
        let mut filter = filter(call, table, call.arg(3))?;
        let mut cursor = cursor(call, table, call.arg(1), &filter)?;
        // The cursor has the range now.
        if table.table.meta().kind == TableKind::OrderedSet {
            filter.leave_keys_to_range(table.keypos());
        }
        let unfiltered = filter.clauses.is_empty();
        // What only has to be of some arity mostly is.
        let whole = filter.clauses.iter().all(|clause| clause.tests.is_empty());
        let mut step = Step {
            table,
            limit: if table.layout.kind().is_bag() {
                usize::MAX
            } else {
                limit
            },
            objects: empty_list(call.env),
            binaries: is(call.arg(4), atoms::r#true()).then(|| Binaries::new(call.env)),
            taken: 0,
            last: Vec::new(),
            failed: None,
            budget: call.budget(),
        };
        let step_time = if call.is_normal() { NORMAL_STEP } else { DIRTY_STEP };
        let (mut more, mut widened) = (true, 0);
        let mut reached = None;
        while more && step.failed.is_none() && step.taken < limit {
            if !step.last.is_empty() && started.elapsed() > step_time {
                break;
            }
            // No more than are wanted, unless most are left out after all. Of a bag, whole keys.
            let objects = if whole && step.limit == limit {
                OBJECTS_MAX.min(widened.max(limit - step.taken))
            } else {
                OBJECTS_MAX
            };
            let before = step.taken;
            let mut skipping = call.budget();
            let scanned = table.table.scan_wanted(
                &mut cursor,
                (objects, SCAN_BYTES, whole),
                call.wait(),
                |key, value| unfiltered || filter.passes(key, value, table.keypos(), &mut skipping),
                |key, value| step.take(key, value),
            );
            let few = !unfiltered && 2 * (step.taken - before) < objects;
            widened = if few { 2 * objects } else { 0 };
            match scanned {
                Ok(left) => more = left || step.taken == step.limit,
                // What was found before counts: the next step begins behind it.
                Err(_) if !step.last.is_empty() => break,
                Err(error) => return Err(error.into()),
            }
            if step.failed.is_none() {
                let within = if cursor.within().is_some() && !step.last.is_empty() {
                    let compared = codec::compared(&step.last, &mut call.budget())?;
                    cursor.within_key(Key::new(&step.last, compared))
                } else {
                    None
                };
                reached = Some(step.reached(within));
            }
            if step.last.is_empty() && more && call.is_normal() && started.elapsed() > step_time {
                // Only objects that have expired so far, of which there may be any number.
                return Err(Fail::OverBudget);
            }
        }
        call.consume(started);
        let failed = step.failed.take();
        // Inside a key there is no place but those that the engine knows.
        let reached = if failed.is_some() && !table.layout.kind().is_bag() && !step.last.is_empty() {
            Some(step.reached(None))
        } else {
            reached
        };
        match (reached, failed) {
            (None, Some(fail)) => Err(fail),
            (None, None) => Ok((step.objects, atoms::done()).encode(call.env)),
            (Some(reached), None) if !more => Ok((reached.objects, atoms::done()).encode(call.env)),
            // A failure is met again by the step that begins at its object.
            (Some(reached), _) => Ok((reached.objects, reached.place(call)?).encode(call.env)),
        }
    })
}

/// What a step has found up to a place.
struct Reached<'a> {
    objects: Term<'a>,
    /// The key of the last object that was looked at; empty if there was none.
    last: Vec<u8>,
    within: Option<u64>,
}

impl<'a> Reached<'a> {
    fn place(&self, call: &Call<'a>) -> Outcome<'a> {
        if self.last.is_empty() {
            // Only deleted keys so far.
            return Err(Fail::OverBudget);
        }
        let key = codec::decode_key(call.env, &self.last, &mut call.budget())?;
        let place = match self.within {
            Some(seq) => super::list_of_one(call.env, seq.encode(call.env)),
            None => empty_list(call.env),
        };
        Ok(place.list_prepend(key))
    }
}

struct Step<'a, 't> {
    table: &'t TableResource,
    limit: usize,
    objects: Term<'a>,
    /// Where binaries come from behind the first object, if they may share memory.
    binaries: Option<Binaries<'a>>,
    taken: usize,
    /// The key of the last object that was looked at.
    last: Vec<u8>,
    /// The objects behind one that failed are left to the next step.
    failed: Option<Fail>,
    budget: Budget,
}

impl<'a> Step<'a, '_> {
    fn reached(&self, within: Option<u64>) -> Reached<'a> {
        Reached {
            objects: self.objects,
            last: self.last.clone(),
            within,
        }
    }

    fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        if self.failed.is_some() || self.taken == self.limit {
            return;
        }
        match value.map_or(Ok(()), |value| self.look_at(key, value)) {
            Ok(()) => {
                self.last.clear();
                self.last.extend_from_slice(key);
            }
            Err(fail) => self.failed = Some(fail),
        }
    }

    fn look_at(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fail> {
        let env = self.objects.get_env();
        let key = codec::decode_key(env, key, &mut self.budget)?;
        let object = self.table.layout.decode(
            key,
            value,
            self.binaries.as_mut().filter(|_| self.taken > 0),
            &mut self.budget,
        )?;
        self.objects = self.objects.list_prepend(element(env, object));
        self.taken += 1;
        Ok(())
    }
}

fn is(term: Term<'_>, atom: Atom) -> bool {
    Atom::from_term(term).is_ok_and(|found| found == atom)
}

fn parts(term: Term<'_>) -> Result<SmallVec<[Term<'_>; 4]>, Fail> {
    let elements = tuple(term).ok_or_else(Fail::none)?;
    Ok(elements
        .iter()
        .map(|word| element(term.get_env(), *word))
        .collect())
}

fn list(term: Term<'_>) -> Result<ListIterator<'_>, Fail> {
    term.decode().map_err(|_| Fail::none())
}

fn cursor(call: &Call<'_>, table: &TableResource, place: Term<'_>, filter: &Filter) -> Result<Cursor, Fail> {
    let place = parts(place)?;
    let [direction, from, prefix] = place.as_slice() else {
        return Err(Fail::none());
    };
    let direction = if is(*direction, atoms::backward()) {
        Direction::Backward
    } else {
        Direction::Forward
    };
    let mut last = Vec::new();
    if from.is_list() {
        let mut from = list(*from)?;
        let key = from.next().ok_or_else(Fail::none)?;
        let compared = table.layout.encode_key(key, &mut last, &mut call.budget())?;
        if let Some(seq) = from.next() {
            let seq = seq.decode().map_err(|_| Fail::none())?;
            return Ok(Cursor::inside(Key::new(&last, compared), seq));
        }
        last.truncate(compared);
    }
    let (mut lower, mut upper) = (Vec::new(), Vec::new());
    if table.table.meta().kind == TableKind::OrderedSet {
        for item in list(*prefix)? {
            put_part(call, table, item, &mut lower)?;
        }
        upper.clone_from(&lower);
        // A key's first byte is never the highest, so there is a byte that can be raised.
        while upper.pop_if(|byte| *byte == u8::MAX).is_some() {}
        if let Some(byte) = upper.last_mut() {
            *byte += 1;
        }
    }
    let prefixed = Range {
        lower: bound(&lower, Bound::Included),
        upper: bound(&upper, Bound::Excluded),
    };
    let range = match table.table.meta().kind {
        TableKind::OrderedSet => prefixed.meet(filter.key_range(table.keypos())),
        _ => prefixed,
    };
    let (start, until) = match direction {
        Direction::Forward => (range.lower, range.upper),
        Direction::Backward => (range.upper, range.lower),
    };
    let start = if last.is_empty() {
        start
    } else {
        Bound::Excluded(last.as_slice())
    };
    Ok(Cursor::range(direction, start, until))
}

fn bound<'b>(bytes: &'b [u8], kind: impl FnOnce(&'b [u8]) -> Bound<&'b [u8]>) -> Bound<&'b [u8]> {
    if bytes.is_empty() {
        Bound::Unbounded
    } else {
        kind(bytes)
    }
}

fn put_part(call: &Call<'_>, table: &TableResource, item: Term<'_>, out: &mut Vec<u8>) -> Result<(), Fail> {
    if item.is_atom() {
        put_cons(out);
        return Ok(());
    }
    match parts(item)?.as_slice() {
        [kind, value] if is(*kind, atoms::tuple()) => {
            put_tuple(out, value.decode().map_err(|_| Fail::none())?);
        }
        [_, value] => {
            let start = out.len();
            let compared = table.layout.encode_key(*value, out, &mut call.budget())?;
            out.truncate(start + compared);
        }
        _ => return Err(Fail::none()),
    }
    Ok(())
}

fn filter<'a>(call: &Call<'a>, table: &TableResource, term: Term<'a>) -> Result<Filter, Fail> {
    let mut filter = Filter::default();
    for clause in list(term)? {
        let parts = parts(clause)?;
        let [arity, tests] = parts.as_slice() else {
            return Err(Fail::none());
        };
        let arity: usize = arity.decode().map_err(|_| Fail::none())?;
        let mut clause = Clause {
            arity: (arity > 0).then_some(arity),
            ..Clause::default()
        };
        for test in list(*tests)? {
            clause.tests.extend(one_test(call, table, test)?);
        }
        filter.clauses.push(clause);
    }
    Ok(filter)
}

/// A test, or none if the position's bytes do not decide.
fn one_test<'a>(
    call: &Call<'a>,
    table: &TableResource,
    term: Term<'a>,
) -> Result<Option<(usize, Test)>, Fail> {
    let parts = parts(term)?;
    let [position, op, constant] = parts.as_slice() else {
        return Err(Fail::none());
    };
    let position: usize = position.decode().map_err(|_| Fail::none())?;
    let op = Atom::from_term(*op).ok().and_then(operator);
    let test = if position == table.keypos() {
        key_test(call, table, op, *constant)?
    } else {
        match (op, constant.decode::<i64>()) {
            (Some(op), Ok(number)) => Some(Test::Int(op, number)),
            (Some(Op::Equal) | None, _) => {
                let mut bytes = Vec::new();
                codec::encode_element(*constant, &mut bytes, &mut call.budget())?;
                Some(Test::Same(bytes))
            }
            _ => None,
        }
    };
    Ok(test.map(|test| (position, test)))
}

/// A key's bytes have the order of terms, but a float may stand on either side of the integer of its value: a bound that takes
/// equals moves by one.
fn key_test<'a>(
    call: &Call<'a>,
    table: &TableResource,
    op: Option<Op>,
    constant: Term<'a>,
) -> Result<Option<Test>, Fail> {
    let number = constant.decode::<i64>().ok();
    let (op, shift) = match op {
        None => (Op::Equal, 0),
        Some(op @ (Op::Less | Op::Greater)) => (op, 0),
        Some(Op::AtMost) if number.is_some() => (Op::Less, 1),
        Some(Op::AtLeast) if number.is_some() => (Op::Greater, -1),
        // Of other constants, only integers have equals that are not the same.
        Some(Op::AtMost) => (Op::AtMost, 0),
        Some(Op::AtLeast) => (Op::AtLeast, 0),
        Some(Op::Equal) if number.is_none() => (Op::Equal, 0),
        Some(Op::Equal | Op::Unequal) => return Ok(None),
    };
    let constant = match number.map(|number| number.checked_add(shift)) {
        Some(Some(number)) => number.encode(call.env),
        Some(None) => return Ok(None),
        None => constant,
    };
    let mut bytes = Vec::new();
    let compared = table
        .layout
        .encode_key(constant, &mut bytes, &mut call.budget())?;
    bytes.truncate(compared);
    Ok(Some(match op {
        Op::Equal => Test::KeySame(bytes),
        op => Test::Key(op, bytes),
    }))
}

fn operator(atom: Atom) -> Option<Op> {
    [
        (atoms::less(), Op::Less),
        (atoms::at_most(), Op::AtMost),
        (atoms::greater(), Op::Greater),
        (atoms::at_least(), Op::AtLeast),
        (atoms::equal(), Op::Equal),
        (atoms::unequal(), Op::Unequal),
    ]
    .into_iter()
    .find_map(|(name, op)| (name == atom).then_some(op))
}
