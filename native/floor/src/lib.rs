//! The floor of the benchmark: a table of the VM that does nothing but the inevitable, on the promises that bets keeps with its defaults.
//!
//! An object becomes bytes, with checksums of head and value and a header as long as that of bets. They are copied to where the death of the process does not
//! reach them (`log`), and to where they are read. The index has eight bytes a key (`slots`), or is the standard library's B-tree in the order of keys
//! (`table`); the key is compared in the record, whose lines a lookup needs anyway. A lookup makes one binary, the value; the
//! key of the object is the caller's own. Left out is what a table could do without, once: merges, opening, expiry, further types of terms, owners,
//! and readers beside a writer. `bench_floor_table` is its Erlang side.

mod frame;
mod log;
mod slots;
mod table;
mod vm;

use std::cell::{Cell, RefCell};
use std::path::Path;

use frame::Frame;
use table::Table;
use vm::{Piece, Term, Vm};

/// Slots that a step of a traversal goes over; some half of them are taken. As many objects as in a step of bets, about.
const SCANNED: usize = 200;
/// The same where few of the objects are made.
const FILTERED: usize = 4096;

vm::nifs! {
    create/2;
    insert/2;
    insert_list/2;
    lookup/2;
    delete/2;
    update_counter/3;
    scan/2;
    filter/3;
    range/3;
}

rustler::init!("bench_floor_table", load = vm::load);

thread_local! {
    static FRAME: RefCell<Frame> = const { RefCell::new(Frame::new()) };
    static FRAMES: Cell<Vec<(Frame, u64)>> = const { Cell::new(Vec::new()) };
    static LOCATIONS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// `create(Dir, 0 | 1) -> Table`: 1 for an ordered one.
fn create(vm: Vm<'_>, [dir, ordered]: [Term; 2]) -> Option<Term> {
    let dir = Path::new(std::str::from_utf8(vm.binary(dir)?).ok()?);
    vm.make_table(Table::create(dir, vm.integer(ordered)? == 1).ok()?)
}

/// Makes the frame of an object and gives the hash of its key.
fn encode(vm: Vm<'_>, table: &Table, object: Term, frame: &mut Frame) -> Option<u64> {
    let elements = vm.tuple(object)?;
    let hash = table.hash(frame.key(vm, *elements.first()?)?);
    frame.object(vm, elements)?;
    Some(hash)
}

/// `insert(Table, Object) -> 1`.
fn insert(vm: Vm<'_>, [table, object]: [Term; 2]) -> Option<Term> {
    let table = vm.table(table)?;
    FRAME.with_borrow_mut(|frame| {
        let hash = encode(vm, table, object, frame)?;
        table.prefetch(hash);
        frame.seal();
        table.put(frame, hash)
    })?;
    Some(vm.make_integer(1))
}

/// `insert_list(Table, Objects) -> 1`: nothing is stored before all objects are seen to be such.
fn insert_list(vm: Vm<'_>, [table, objects]: [Term; 2]) -> Option<Term> {
    let table = vm.table(table)?;
    let mut frames = FRAMES.take();
    let (mut count, mut rest) = (0, objects);
    while let Some((object, tail)) = vm.cell(rest) {
        if count == frames.len() {
            frames.push((Frame::new(), 0));
        }
        let (frame, hash) = &mut frames[count];
        *hash = encode(vm, table, object, frame)?;
        frame.seal();
        count += 1;
        rest = tail;
    }
    let done = vm.is_nil(rest).then(|| table.put_list(&mut frames[..count]));
    FRAMES.set(frames);
    done?.map(|()| vm.make_integer(1))
}

/// `lookup(Table, Key) -> [Object]`.
fn lookup(vm: Vm<'_>, [table, key]: [Term; 2]) -> Option<Term> {
    let table = vm.table(table)?;
    FRAME.with_borrow_mut(|frame| {
        let bytes = frame.key(vm, key)?;
        let found = table.get(bytes, table.hash(bytes));
        Some(match found {
            Some(record) => vm.make_cell(
                record.make_object(vm, key, |bytes| vm.make_binary(bytes))?,
                vm.make_nil(),
            ),
            None => vm.make_nil(),
        })
    })
}

/// `delete(Table, Key) -> 1`.
fn delete(vm: Vm<'_>, [table, key]: [Term; 2]) -> Option<Term> {
    let table = vm.table(table)?;
    FRAME.with_borrow_mut(|frame| {
        let hash = table.hash(frame.key(vm, key)?);
        table.prefetch(hash);
        table.delete(frame, hash)
    })?;
    Some(vm.make_integer(1))
}

/// `update_counter(Table, Key, Increment) -> Sum`, of the object's second element.
fn update_counter(vm: Vm<'_>, [table, key, increment]: [Term; 3]) -> Option<Term> {
    let table = vm.table(table)?;
    let increment = vm.integer(increment)?;
    FRAME.with_borrow_mut(|frame| {
        let key = frame.key(vm, key)?;
        let hash = table.hash(key);
        let record = table.get(key, hash)?;
        let sum = frame.sum(record.value, increment)?;
        frame.seal();
        table.put(frame, hash)?;
        Some(vm.make_integer(sum))
    })
}

/// `scan(Table, Place) -> {Objects, Next}`: the objects from a place on, 0 first; -1 is the end.
fn scan(vm: Vm<'_>, [table, place]: [Term; 2]) -> Option<Term> {
    step(vm, table, place, SCANNED, |table, locations| {
        objects(vm, table, locations)
    })
}

/// `filter(Table, Place, Number) -> {Thirds, Next}`: of the objects from a place on that have this number as the second of three elements, the third.
fn filter(vm: Vm<'_>, [table, place, number]: [Term; 3]) -> Option<Term> {
    let mut begin = vec![3];
    frame::put_integer(vm.integer(number)?, &mut begin);
    step(vm, table, place, FILTERED, |table, locations| {
        let mut piece = Piece::new();
        let thirds = table
            .records(locations)
            .filter_map(|record| record.make_behind(vm, &begin, &mut piece));
        Some(thirds.fold(vm.make_nil(), |list, third| vm.make_cell(third, list)))
    })
}

fn step(
    vm: Vm<'_>,
    table: Term,
    place: Term,
    slots: usize,
    list: impl FnOnce(&Table, &[u64]) -> Option<Term>,
) -> Option<Term> {
    let table = vm.table(table)?;
    let place = usize::try_from(vm.integer(place)?).ok()?;
    LOCATIONS.with_borrow_mut(|locations| {
        let next = table.step(place, slots, locations).map_or(-1, usize::cast_signed);
        Some(vm.make_tuple(&[list(table, locations)?, vm.make_integer(next as i64)]))
    })
}

/// `range(Table, Key, Count) -> Objects`, from the key on.
fn range(vm: Vm<'_>, [table, key, count]: [Term; 3]) -> Option<Term> {
    let table = vm.table(table)?;
    let count = usize::try_from(vm.integer(count)?).ok()?;
    FRAME.with_borrow_mut(|frame| {
        LOCATIONS.with_borrow_mut(|locations| {
            table.range(frame.key(vm, key)?, count, locations)?;
            objects(vm, table, locations)
        })
    })
}

/// The objects at these locations, as a list.
#[inline]
fn objects(vm: Vm<'_>, table: &Table, locations: &[u64]) -> Option<Term> {
    let (mut list, mut piece) = (vm.make_nil(), Piece::new());
    for record in table.records(locations) {
        let key = record.make_key(vm)?;
        let object = record.make_object(vm, key, |bytes| vm.make_part(bytes, &mut piece))?;
        list = vm.make_cell(object, list);
    }
    Some(list)
}
