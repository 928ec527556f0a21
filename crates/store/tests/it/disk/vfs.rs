//! SQLite's way to the simulated disk: the one place of the tests with unsafe code, since SQLite asks for a table
//! of C functions. The crates that wrap it (sqlite-plugin, sqlite-vfs) need libclang to build or are not kept.
//!
//! One connection has a file at a time, so that locks always succeed.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;
use std::slice;
use std::sync::Once;

use rusqlite::ffi::*;

use super::{DISK, Disk, DiskError, Sync};

/// The name to open databases with.
pub(crate) const NAME: &CStr = c"simulated-disk";
const PATH_LEN_MAX: c_int = 256;

/// An open file: what SQLite knows of it, then what we do. SQLite allocates and frees it.
#[repr(C)]
struct OpenFile {
    base: sqlite3_file,
    node: usize,
    kind: Kind,
    /// Who opened it; null until that is told.
    connection: *mut sqlite3,
    /// Shared memory for the log's index; lives from its first map to `shm_unmap`.
    shared: *mut Vec<Box<[u64]>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Log,
    Database,
    Other,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes [`NAME`] known to SQLite.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: null asks for the default one, which is static.
        let system = unsafe { sqlite3_vfs_find(ptr::null()) };
        // SAFETY: it is a plain table of numbers and functions, and SQLite has one.
        let mut vfs = unsafe { ptr::read(system) };
        // Randomness, time and sleep stay the system's.
        vfs.iVersion = 1;
        vfs.szOsFile = size_of::<OpenFile>() as c_int;
        vfs.mxPathname = PATH_LEN_MAX;
        vfs.pNext = ptr::null_mut();
        vfs.zName = NAME.as_ptr();
        vfs.xOpen = Some(open);
        vfs.xDelete = Some(delete);
        vfs.xAccess = Some(access);
        vfs.xFullPathname = Some(full_pathname);
        // SAFETY: the table is never freed, as SQLite keeps it.
        let code = unsafe { sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) };
        assert_eq!(code, SQLITE_OK);
    });
}

fn on_disk<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    DISK.with_borrow_mut(work)
}

fn code(done: Result<(), DiskError>, failure: c_int) -> c_int {
    if done.is_ok() { SQLITE_OK } else { failure }
}

/// SAFETY: for pointers that SQLite gave to a method of a file that [`open`] has filled in.
unsafe fn file<'a>(pointer: *mut sqlite3_file) -> &'a mut OpenFile {
    // SAFETY: `szOsFile` bytes, and `open` wrote all of them.
    unsafe { &mut *pointer.cast::<OpenFile>() }
}

/// SAFETY: for names that SQLite gives: a C string, or null.
unsafe fn text<'a>(name: *const c_char) -> &'a str {
    if name.is_null() {
        return "";
    }
    // SAFETY: see above.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    pointer: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's pointers; a file without methods is one that was not opened.
    let name = unsafe {
        (*pointer).pMethods = ptr::null();
        text(name)
    };
    let kind = match flags {
        _ if flags & SQLITE_OPEN_WAL != 0 => Kind::Log,
        _ if flags & SQLITE_OPEN_MAIN_DB != 0 => Kind::Database,
        _ => Kind::Other,
    };
    let is_journal = flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL) != 0;
    let create = flags & SQLITE_OPEN_CREATE != 0;
    let Ok(Some(node)) = on_disk(|disk| disk.open(name, create, is_journal && create)) else {
        return SQLITE_CANTOPEN;
    };
    let base = sqlite3_file { pMethods: &raw const METHODS };
    // SAFETY: room for `szOsFile` bytes is there, and `out_flags` is null or valid.
    unsafe {
        ptr::write(
            pointer.cast(),
            OpenFile { base, node, kind, connection: ptr::null_mut(), shared: ptr::null_mut() },
        );
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite's name.
    let name = unsafe { text(name) };
    let done = on_disk(|disk| {
        let was = disk.delete(name)?;
        if sync_dir != 0 {
            disk.sync_names();
        }
        Ok::<bool, DiskError>(was)
    });
    match done {
        Ok(true) => SQLITE_OK,
        Ok(false) => SQLITE_IOERR_DELETE_NOENT,
        Err(DiskError) => SQLITE_IOERR_DELETE,
    }
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, name: *const c_char, _: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite's name and place for the answer.
    unsafe { *out = on_disk(|disk| disk.exists(text(name))).into() };
    SQLITE_OK
}

unsafe extern "C" fn full_pathname(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: SQLite's name, and `room` bytes for the answer.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > room as usize {
            return SQLITE_CANTOPEN;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    SQLITE_OK
}

unsafe extern "C" fn close(pointer: *mut sqlite3_file) -> c_int {
    // SAFETY: an open file; what it shares is freed once.
    unsafe { free_shared(file(pointer)) };
    SQLITE_OK
}

unsafe extern "C" fn read(pointer: *mut sqlite3_file, out: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and `len` bytes to fill.
    let (node, into) =
        unsafe { (file(pointer).node, slice::from_raw_parts_mut(out.cast::<u8>(), len as usize)) };
    let there = on_disk(|disk| disk.read(node, at as usize, into));
    into[there..].fill(0);
    if there == into.len() { SQLITE_OK } else { SQLITE_IOERR_SHORT_READ }
}

unsafe extern "C" fn write(pointer: *mut sqlite3_file, bytes: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: an open file, and `len` bytes to read.
    let (node, bytes) =
        unsafe { (file(pointer).node, slice::from_raw_parts(bytes.cast::<u8>(), len as usize)) };
    code(on_disk(|disk| disk.write(node, at as usize, bytes)), SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(pointer: *mut sqlite3_file, len: i64) -> c_int {
    // SAFETY: an open file.
    let node = unsafe { file(pointer).node };
    code(on_disk(|disk| disk.resize(node, len as usize)), SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(pointer: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let (node, kind) = unsafe { (file(pointer).node, file(pointer).kind) };
    let kind = match kind {
        Kind::Log => Some(Sync::Log),
        Kind::Database => Some(Sync::Database),
        Kind::Other => None,
    };
    code(on_disk(|disk| disk.sync(node, kind)), SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(pointer: *mut sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file, and a place for the answer.
    unsafe { *out = on_disk(|disk| disk.size(file(pointer).node)) as i64 };
    SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut sqlite3_file, _: c_int) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: a place for the answer.
    unsafe { *out = 0 };
    SQLITE_OK
}

/// A connection lets its file know who it is, and what it is set up with. With that, but after what is the default,
/// comes the disk's own limit for logs.
unsafe extern "C" fn file_control(pointer: *mut sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: an open file; the argument is a place with the connection, which lives as long as the file.
    unsafe {
        let file = file(pointer);
        if what == SQLITE_FCNTL_PDB {
            file.connection = *argument.cast::<*mut sqlite3>();
        } else if what == SQLITE_FCNTL_PRAGMA
            && !file.connection.is_null()
            && let Some(pages) = on_disk(|disk| disk.log_pages_max)
        {
            sqlite3_wal_autocheckpoint(file.connection, pages as c_int);
        }
    }
    SQLITE_NOTFOUND
}

/// What SQLite assumes of every disk (unix: 4096), not what this one tears.
unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    4096
}

/// The same promise as SQLite's own for unix: a torn write harms no byte beside it.
unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    pointer: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file, whose shared memory is null or ours; a boxed region never moves.
    unsafe {
        let file = file(pointer);
        if file.shared.is_null() {
            file.shared = Box::into_raw(Box::default());
        }
        let regions = &mut *file.shared;
        while extend != 0 && regions.len() <= region as usize {
            regions.push(vec![0; size as usize / size_of::<u64>()].into_boxed_slice());
        }
        *out = regions.get_mut(region as usize).map_or(ptr::null_mut(), |region| region.as_mut_ptr().cast());
    }
    SQLITE_OK
}

unsafe extern "C" fn shm_lock(_: *mut sqlite3_file, _: c_int, _: c_int, _: c_int) -> c_int {
    SQLITE_OK
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {}

unsafe extern "C" fn shm_unmap(pointer: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file; SQLite uses no region after this.
    unsafe { free_shared(file(pointer)) };
    SQLITE_OK
}

/// SAFETY: `shared` is null or came from `Box::into_raw`.
unsafe fn free_shared(file: &mut OpenFile) {
    let shared = std::mem::replace(&mut file.shared, ptr::null_mut());
    if !shared.is_null() {
        // SAFETY: see above; it is null from now on.
        drop(unsafe { Box::from_raw(shared) });
    }
}
