//! From the table argument of a call to the table, with the caller's rights checked.

use rustler::{Atom, Env, Term};

use crate::atoms;
use crate::error::Fail;
use crate::owner;
use crate::raw::{caller, is_alive};
use crate::registry;
use crate::resource;
use crate::table::{Protection, TableResource};

/// What a call does to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It reads objects.
    Read,
    /// It changes objects, or what is stored of the table.
    Write,
    /// It changes what this VM knows of the table alone: closing it, say.
    Administer,
}

/// Runs `f` with the table that `term` names or identifies, if there is one; it may be closed, and rights are not looked at.
pub fn with_any<R>(term: Term<'_>, f: impl FnOnce(Option<&TableResource>) -> R) -> R {
    if let Some(table) = resource::of_term(term) {
        f(Some(table))
    } else if let Ok(name) = Atom::from_term(term) {
        registry::with_name(name, f)
    } else {
        f(None)
    }
}

/// Runs `f` with the table that `term` names or identifies, if the caller has the right.
pub fn with<R>(
    term: Term<'_>,
    need: Need,
    f: impl FnOnce(&TableResource) -> Result<R, Fail>,
) -> Result<R, Fail> {
    let env = term.get_env();
    with_any(term, |table| match table {
        Some(table) => {
            check(env, table, need)?;
            f(table)
        }
        None => Err(missing(term)),
    })
}

/// Like [`with`], but any process may, and a dead table or a name of none gives `None`.
pub fn with_open<R>(term: Term<'_>, f: impl FnOnce(&TableResource) -> R) -> Result<Option<R>, Fail> {
    let env = term.get_env();
    with_any(term, |table| match table {
        Some(table) => Ok(is_open(env, table).then(|| f(table))),
        None if term.is_atom() => Ok(None),
        None => Err(Fail::Badarg(atoms::r#type())),
    })
}

fn missing(term: Term<'_>) -> Fail {
    if term.is_atom() {
        Fail::id()
    } else {
        Fail::Badarg(atoms::r#type())
    }
}

/// Whether the table is there for others: not closing, and its owner lives or has passed it on.
pub fn is_open(env: Env<'_>, table: &TableResource) -> bool {
    see_to_owner(env, table);
    !matches!(table.check_state(), Err(Fail::Badarg(_)))
}

fn see_to_owner(env: Env<'_>, table: &TableResource) {
    let owner = table.owner_raw();
    if owner != caller(env) && !is_alive(Some(env), owner) {
        owner::orphaned(Some(env), table);
    }
}

fn check(env: Env<'_>, table: &TableResource, need: Need) -> Result<(), Fail> {
    table.check_state()?;
    if need == Need::Write && table.options.config.read_only {
        return Err(Fail::Badarg(atoms::snapshot()));
    }
    let me = caller(env);
    if me == table.owner_raw() {
        return Ok(());
    }
    if !is_alive(Some(env), table.owner_raw()) {
        owner::orphaned(Some(env), table);
        table.check_state()?;
        if me == table.owner_raw() {
            return Ok(());
        }
    }
    match (table.protection(), need) {
        (Protection::Public, _) | (Protection::Protected, Need::Read) => Ok(()),
        _ => Err(Fail::Badarg(atoms::access())),
    }
}
