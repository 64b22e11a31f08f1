//! The functions that Erlang calls, and what they share.

mod administer;
mod batch;
mod count;
mod delete;
mod fix;
mod info;
mod insert;
mod lookup;
pub mod merge;
mod open;
mod repair;
mod replace;
mod select;
mod swap;
mod traverse;
mod update;

use bets_engine::Key;
use bets_engine::table::{Commit, Same};
use rustler::{Encoder, Env, Term};

use crate::atoms;
use crate::codec::{self, Equality};
use crate::error::Fail;
use crate::raw::{element, empty_list, tuple};
use crate::schedule::{Call, nif};
use crate::table::TableResource;

nif! {
    lookup/2 on NORMAL => lookup::lookup;
    lookup_pattern/2 on NORMAL => lookup::lookup_pattern;
    lookup_element/3 on NORMAL => lookup::lookup_element;
    lookup_element/4 on NORMAL => lookup::lookup_element;
    member/2 on NORMAL => lookup::member;
    same_key/3 on NORMAL => lookup::same_key;
    insert/2 on NORMAL => insert::insert;
    insert/3 on NORMAL => insert::insert;
    insert_new/2 on NORMAL => insert::insert_new;
    insert_new/3 on NORMAL => insert::insert_new;
    ttl/2 on NORMAL => lookup::ttl;
    delete/2 on NORMAL => delete::delete;
    delete_object/2 on NORMAL => delete::delete_object;
    delete_all_objects/1 on NORMAL => delete::delete_all_objects;
    take/2 on NORMAL => delete::take;
    batch/2 on NORMAL => batch::batch;
    replace_object/3 on NORMAL => swap::replace_object;
    update_element/3 on NORMAL => update::update_element;
    update_element/4 on NORMAL => update::update_element;
    update_counter/3 on NORMAL => count::update_counter;
    update_counter/4 on NORMAL => count::update_counter;
    first/1 on NORMAL => traverse::first;
    last/1 on NORMAL => traverse::last;
    next/2 on NORMAL => traverse::next;
    prev/2 on NORMAL => traverse::prev;
    first_lookup/1 on NORMAL => traverse::first_lookup;
    last_lookup/1 on NORMAL => traverse::last_lookup;
    next_lookup/2 on NORMAL => traverse::next_lookup;
    prev_lookup/2 on NORMAL => traverse::prev_lookup;
    scan/3 on NORMAL => traverse::scan;
    scan_back/3 on NORMAL => traverse::scan_back;
    version/1 on NORMAL => traverse::version;
    fix/3 on NORMAL => fix::fix;
    unfix/1 on NORMAL => fix::unfix;
    fixes/1 on NORMAL => fix::fixes;
    slot/2 on NORMAL => fix::slot;
    describe/2 on NORMAL => select::describe;
    select/5 on NORMAL => select::select;
    delete_objects/2 on NORMAL => replace::delete_objects;
    replace_objects/3 on NORMAL => replace::replace_objects;
    clear/1 on NORMAL => replace::clear;
    info/1 on NORMAL => info::info;
    whereis/1 on NORMAL => info::whereis;
    all/0 on NORMAL => info::all;
    rename/2 on NORMAL => administer::rename;
    give_away/3 on NORMAL => administer::give_away;
    set_options/2 on NORMAL => administer::set_options;
    await_durable/3 on NORMAL => administer::await_durable;
    relocate/4 on DIRTY_IO => administer::relocate;
    open/4 on DIRTY_IO => open::open;
    close/1 on DIRTY_IO => administer::close;
    delete/1 on DIRTY_IO => administer::delete;
    backup/2 on DIRTY_IO => administer::backup;
    sync/1 on DIRTY_IO => administer::sync;
    close_all/0 on DIRTY_IO => administer::close_all;
    merge_due/1 on DIRTY_CPU => merge::merge_due;
    merge_start/2 on DIRTY_IO => merge::merge_start;
    merge_step/2 on DIRTY_IO => merge::merge_step;
    merge_cancel/1 on DIRTY_IO => merge::merge_cancel;
    segment_stats/1 on DIRTY_CPU => merge::segment_stats;
    set_cache/1 on DIRTY_CPU => administer::set_cache;
    sweep/1 on DIRTY_IO => open::sweep;
    new_progress/0 on NORMAL => repair::new_progress;
    progress/1 on NORMAL => repair::progress;
    check/2 on DIRTY_IO => repair::check;
    inspect/1 on DIRTY_IO => repair::inspect;
    verify/2 on DIRTY_IO => repair::verify;
    repair/4 on DIRTY_IO => repair::repair;
}

#[cfg(feature = "testing")]
nif! {
    test_panic/1 on NORMAL => administer::test_panic;
    test_panic_in/1 on NORMAL => crate::panics::test_panic_in;
    test_watch/0 on NORMAL => crate::watch::test_watch;
}

/// The key of an object, or `badarg` if it is no tuple or too short to have one.
fn key_of(object: Term<'_>, keypos: usize) -> Result<Term<'_>, Fail> {
    tuple(object)
        .and_then(|elements| elements.get(keypos - 1))
        .map(|word| element(object.get_env(), *word))
        .ok_or_else(Fail::none)
}

/// The bytes of a key, written into `buffer`.
#[inline]
fn key<'b>(
    call: &Call<'_>,
    table: &TableResource,
    key: Term<'_>,
    buffer: &'b mut Vec<u8>,
) -> Result<Key<'b>, Fail> {
    let compared = table.layout.encode_key(key, buffer, &mut call.budget())?;
    Ok(Key::new(buffer, compared))
}

/// Runs a call of the engine that has to tell whether objects are the same, by a rule for zeros.
fn comparing<R>(
    call: &Call<'_>,
    zeros: Equality,
    f: impl FnOnce(&mut Same<'_>) -> bets_engine::Result<R>,
) -> Result<R, Fail> {
    let mut budget = call.budget();
    let mut failed = None;
    let result = f(
        &mut |stored, other| match codec::same_value(stored, other, zeros, &mut budget) {
            Ok(same) => Some(same),
            Err(fail) => {
                failed = Some(fail);
                None
            }
        },
    );
    match failed {
        Some(fail) => Err(fail),
        None => Ok(result?),
    }
}

/// A list of these terms.
fn list<'a>(env: Env<'a>, terms: &[Term<'a>]) -> Term<'a> {
    terms
        .iter()
        .rev()
        .fold(empty_list(env), |list, term| list.list_prepend(*term))
}

/// A list of one.
fn list_of_one<'a>(env: Env<'a>, term: Term<'a>) -> Term<'a> {
    empty_list(env).list_prepend(term)
}

/// The result of a write: with `{sync, always}` the face has to wait before it hands it on.
#[inline]
fn written<'a>(env: Env<'a>, table: &TableResource, commit: Option<Commit>, result: Term<'a>) -> Term<'a> {
    match commit {
        Some(Commit(number)) if table.sync_always => {
            (atoms::durable(), table.identifier(env), number, result).encode(env)
        }
        _ => result,
    }
}

/// `true` or `false`.
fn boolean(env: Env<'_>, value: bool) -> Term<'_> {
    if value { atoms::r#true() } else { atoms::r#false() }.to_term(env)
}
