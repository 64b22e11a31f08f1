//! The VM's type of resources that tables are.
//!
//! rustler's own ones find their type in a map, by a hash that takes as long as a tenth of a lookup (`docs/decisions.md`).
//! Here the type stands in a static. `TableResource` is the only resource that calls look for all the time; others are rustler's.
#![expect(unsafe_code, reason = "the VM calls and is called here")]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use rustler::sys::{
    ErlNifEnv, ErlNifMonitor, ErlNifPid, ErlNifResourceDown, ErlNifResourceDtor, ErlNifResourceFlags,
    ErlNifResourceType, ErlNifResourceTypeInit, enif_alloc_resource, enif_demonitor_process,
    enif_get_resource, enif_init_resource_type, enif_keep_resource, enif_make_resource, enif_monitor_process,
    enif_release_resource,
};
use rustler::thread::is_scheduler_thread;
use rustler::{Env, LocalPid, Monitor, Term};

use crate::raw::pid_word;
use crate::table::TableResource;

/// Set by [`open`] before any other function of the library runs; once more only if the library is loaded again, when the VM takes the tables of before for none.
static TYPE: AtomicPtr<ErlNifResourceType> = AtomicPtr::new(ptr::null_mut());

/// The number of callbacks that the VM is told of: destructor, stop and down.
const MEMBERS: i32 = 3;

/// Tells the VM of the type. Only for `load`. `false` if the VM refuses.
pub fn open(env: Env<'_>) -> bool {
    let init = ErlNifResourceTypeInit {
        dtor: destroyed as *const ErlNifResourceDtor,
        stop: ptr::null(),
        down: down as *const ErlNifResourceDown,
        members: MEMBERS,
        dyncall: ptr::null(),
    };
    let create = ErlNifResourceFlags::ERL_NIF_RT_CREATE;
    let mut tried = MaybeUninit::uninit();
    // SAFETY: the environment is that of `load`; name and callbacks live as long as the library, and have the VM's signatures.
    let opened = unsafe {
        enif_init_resource_type(
            env.as_c_arg(),
            c"table".as_ptr(),
            &raw const init,
            create,
            tried.as_mut_ptr(),
        )
    };
    if opened.is_null() {
        return false;
    }
    TYPE.store(opened.cast_mut(), Ordering::Release);
    true
}

/// The table that a term identifies, if it does. A table lives as long as a term of it.
#[inline]
pub fn of_term(term: Term<'_>) -> Option<&'_ TableResource> {
    // SAFETY: by the contract of `object`.
    object(term).map(|object| unsafe { &*aligned(object) })
}

/// The address of the resource that a term identifies, if that is a table.
#[inline]
fn object(term: Term<'_>) -> Option<*mut c_void> {
    let mut object = MaybeUninit::uninit();
    // SAFETY: the term belongs to the environment, and the type is the VM's. The VM writes the object if it gives a value other than 0.
    unsafe {
        let is_one = enif_get_resource(
            term.get_env().as_c_arg(),
            term.as_c_arg(),
            TYPE.load(Ordering::Relaxed),
            object.as_mut_ptr(),
        );
        (is_one != 0).then(|| object.assume_init().cast_mut())
    }
}

/// Where in the memory of a resource the table stands: the VM aligns it less than the table needs.
#[inline]
fn aligned(object: *mut c_void) -> *mut TableResource {
    object
        .wrapping_add(object.align_offset(align_of::<TableResource>()))
        .cast()
}

/// A table, kept by a count of the VM's.
pub struct TableArc(NonNull<c_void>);

const _: () = {
    const fn is_for_all_threads<T: Send + Sync + 'static>() {}
    is_for_all_threads::<TableResource>();
};

// SAFETY: a table is for all threads, as was just seen, and the VM counts atomically.
unsafe impl Send for TableArc {}
// SAFETY: as above.
unsafe impl Sync for TableArc {}

impl TableArc {
    /// Moves a table to where the VM counts who has it.
    pub fn new(table: TableResource) -> TableArc {
        let len = size_of::<TableResource>() + align_of::<TableResource>();
        // SAFETY: the type is the VM's.
        let object = unsafe { enif_alloc_resource(TYPE.load(Ordering::Relaxed), len) };
        let Some(object) = NonNull::new(object) else {
            // The VM ends when it has no memory, so this is not met.
            handle_alloc_error(Layout::new::<TableResource>());
        };
        // SAFETY: there is room for the table wherever the object is aligned, and nobody else has it yet.
        unsafe { aligned(object.as_ptr()).write(table) };
        TableArc(object)
    }

    /// The address that [`identifier`] needs.
    pub fn address(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Has the table's `down` called when a process dies. `None` if it is dead. `env` is that of the call, or `None` on a thread that is not the VM's; a scheduler
    /// that does the work of such a thread, for want of one, while all tables are closed, gets `None` as well: nobody is to inherit one then.
    pub fn monitor(&self, env: Option<Env<'_>>, pid: &LocalPid) -> Option<Monitor> {
        if env.is_none() && is_scheduler_thread() {
            return None;
        }
        let mut monitor = MaybeUninit::uninit();
        // SAFETY: the type has a callback for it; the VM writes the monitor if it gives 0.
        unsafe {
            let failed = enif_monitor_process(
                raw_env(env),
                self.0.as_ptr(),
                pid.as_c_arg(),
                monitor.as_mut_ptr(),
            );
            (failed == 0).then(|| Monitor::from_c_arg(monitor.assume_init()))
        }
    }

    /// Takes a monitor back.
    pub fn demonitor(&self, env: Option<Env<'_>>, monitor: &Monitor) {
        // SAFETY: the monitor is one of this resource. If its process has just died there is nothing to take back.
        let _ = unsafe { enif_demonitor_process(raw_env(env), self.0.as_ptr(), monitor.as_c_arg()) };
    }
}

fn raw_env(env: Option<Env<'_>>) -> *mut ErlNifEnv {
    env.map_or(ptr::null_mut(), Env::as_c_arg)
}

impl Deref for TableArc {
    type Target = TableResource;

    fn deref(&self) -> &TableResource {
        // SAFETY: the table was written by `new` and lives while there is a count.
        unsafe { &*aligned(self.0.as_ptr()) }
    }
}

impl Clone for TableArc {
    fn clone(&self) -> Self {
        // SAFETY: it is a resource of which there is a count.
        unsafe { enif_keep_resource(self.0.as_ptr()) };
        TableArc(self.0)
    }
}

impl Drop for TableArc {
    fn drop(&mut self) {
        // SAFETY: the count is this one's own, and given up once.
        unsafe { enif_release_resource(self.0.as_ptr()) };
    }
}

/// The identifier of the table whose address this is.
pub fn identifier<'a>(env: Env<'a>, _alive: &TableResource, address: usize) -> Term<'a> {
    // SAFETY: the address is that of the resource which holds `_alive`, so it is alive too.
    unsafe { Term::new(env, enif_make_resource(env.as_c_arg(), address as *const c_void)) }
}

/// Called by the VM when nobody has the table any more.
///
/// # Safety
/// Only the VM may call it, once for each resource.
unsafe extern "C" fn destroyed(_env: *mut ErlNifEnv, object: *mut c_void) {
    // SAFETY: `TableArc::new` wrote the table there, and nobody uses it after this call. A panic must not reach the VM.
    let _ = catch_unwind(|| unsafe { aligned(object).read() }.destroyed());
}

/// Called by the VM when a monitored process has died.
///
/// # Safety
/// Only the VM may call it.
unsafe extern "C" fn down(
    _env: *mut ErlNifEnv,
    object: *mut c_void,
    pid: *const ErlNifPid,
    _monitor: *const ErlNifMonitor,
) {
    // SAFETY: the table lives during the call, and the VM hands over a pid.
    let (table, pid) = unsafe { (&*aligned(object), LocalPid::from_c_arg(*pid)) };
    // A panic must not reach the VM.
    let _ = catch_unwind(AssertUnwindSafe(|| table.down(pid_word(pid))));
}
