//! DPDK's own tables of prefixes. The packet path has its own; a bench compares the two.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use dpdk_sys as sys;

use super::eal::Eal;

/// What a table must hold.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Prefixes.
    pub prefixes: u32,
    /// Groups of 256 entries below the root.
    pub groups: u32,
}

/// Which code looks up in a [`Fib`] or [`Fib6`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// For any CPU.
    Scalar,
    /// AVX-512.
    Vector,
}

/// A table of DPDK's; it goes before EAL does.
#[derive(Debug)]
struct Held<T> {
    table: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
    _eal: Eal,
}

impl<T> Held<T> {
    /// `create` is given a name that no other table has.
    fn new(eal: &Eal, free: unsafe extern "C" fn(*mut T), create: impl FnOnce(*const std::ffi::c_char) -> *mut T) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = CString::new(format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed))).ok()?;
        Some(Self { table: NonNull::new(create(name.as_ptr()))?, free, _eal: eal.clone() })
    }

    const fn get(&self) -> *mut T {
        self.table.as_ptr()
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: made by the create that belongs to it, and freed once.
        unsafe { (self.free)(self.get()) }
    }
}

/// `rte_lpm`. Values are below 2^24.
#[derive(Debug)]
pub struct Lpm(Held<sys::rte_lpm>);

impl Lpm {
    /// Empty; none where there is no memory for it.
    pub fn new(eal: &Eal, room: Room) -> Option<Self> {
        let config = sys::rte_lpm_config { max_rules: room.prefixes, number_tbl8s: room.groups, flags: 0 };
        // SAFETY: EAL runs; name and configuration are copied.
        Held::new(eal, sys::rte_lpm_free, |name| unsafe { sys::rte_lpm_create(name, -1, &raw const config) }).map(Self)
    }

    /// Whether it had room.
    pub fn add(&mut self, bits: u32, length: u8, value: u32) -> bool {
        // SAFETY: the table is ours alone while it changes.
        unsafe { sys::rte_lpm_add(self.0.get(), bits, length, value) == 0 }
    }

    /// Values, with the bit [`Self::FOUND`] where there is one.
    pub fn lookup_bulk(&self, addresses: &[u32], values: &mut [u32]) {
        let count = both(addresses.len(), values.len());
        // SAFETY: so many are in both.
        unsafe { sys::tw_lpm_lookup_bulk(self.0.get(), addresses.as_ptr(), values.as_mut_ptr(), count) }
    }

    /// The same, one call of `rte_lpm_lookup` an address.
    pub fn lookup_each(&self, addresses: &[u32], values: &mut [u32]) {
        let count = both(addresses.len(), values.len());
        // SAFETY: so many are in both.
        unsafe { sys::tw_lpm_lookup_each(self.0.get(), addresses.as_ptr(), values.as_mut_ptr(), count) }
    }

    /// Stands in what lookups give.
    pub const FOUND: u32 = sys::RTE_LPM_LOOKUP_SUCCESS;
}

/// `rte_lpm6`. Values are below 2^21.
#[derive(Debug)]
pub struct Lpm6(Held<sys::rte_lpm6>);

impl Lpm6 {
    /// Empty; none where there is no memory for it.
    pub fn new(eal: &Eal, room: Room) -> Option<Self> {
        let config = sys::rte_lpm6_config { max_rules: room.prefixes, number_tbl8s: room.groups, flags: 0 };
        // SAFETY: EAL runs; name and configuration are copied.
        Held::new(eal, sys::rte_lpm6_free, |name| unsafe { sys::rte_lpm6_create(name, -1, &raw const config) }).map(Self)
    }

    /// Whether it had room.
    pub fn add(&mut self, bits: [u8; 16], length: u8, value: u32) -> bool {
        // SAFETY: the table is ours alone while it changes; the address is read.
        unsafe { sys::rte_lpm6_add(self.0.get(), bits.as_ptr(), length, value) == 0 }
    }

    /// Values, -1 where there is none.
    pub fn lookup_bulk(&self, addresses: &[[u8; 16]], values: &mut [i32]) {
        let count = both(addresses.len(), values.len());
        // SAFETY: so many are in both; addresses are only read.
        unsafe { sys::rte_lpm6_lookup_bulk_func(self.0.get(), addresses.as_ptr().cast_mut(), values.as_mut_ptr(), count) };
    }
}

/// `rte_fib`, DIR-24-8. 0 is what it gives where there is no prefix.
#[derive(Debug)]
pub struct Fib(Held<sys::rte_fib>);

impl Fib {
    /// Empty, with entries of two bytes or four; none where there is no memory for it, or the CPU lacks what the lookup needs.
    pub fn new(eal: &Eal, room: Room, wide: bool, lookup: Lookup) -> Option<Self> {
        use sys::{rte_fib_dir24_8_nh_sz as size, rte_fib_lookup_type as kind};
        let mut config = sys::rte_fib_conf { type_: sys::rte_fib_type::RTE_FIB_DIR24_8, default_nh: 0, ..Default::default() };
        config.max_routes = i32::try_from(room.prefixes).ok()?;
        config.__bindgen_anon_1.dir24_8.nh_sz = if wide { size::RTE_FIB_DIR24_8_4B } else { size::RTE_FIB_DIR24_8_2B };
        config.__bindgen_anon_1.dir24_8.num_tbl8 = room.groups;
        // SAFETY: EAL runs; name and configuration are copied.
        let held = Held::new(eal, sys::rte_fib_free, |name| unsafe { sys::rte_fib_create(name, -1, &raw mut config) })?;
        let kind = match lookup {
            Lookup::Scalar => kind::RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO,
            Lookup::Vector => kind::RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512,
        };
        allow_vectors();
        // SAFETY: nobody looks up in it yet.
        (unsafe { sys::rte_fib_select_lookup(held.get(), kind) } == 0).then_some(Self(held))
    }

    /// Whether it had room.
    pub fn add(&mut self, bits: u32, length: u8, value: u32) -> bool {
        // SAFETY: the table is ours alone while it changes.
        unsafe { sys::rte_fib_add(self.0.get(), bits, length, value.into()) == 0 }
    }

    /// Values.
    pub fn lookup_bulk(&self, addresses: &[u32], values: &mut [u64]) {
        let count = both(addresses.len(), values.len());
        // SAFETY: so many are in both; addresses are only read.
        unsafe { sys::rte_fib_lookup_bulk(self.0.get(), addresses.as_ptr().cast_mut(), values.as_mut_ptr(), count.cast_signed()) };
    }
}

/// `rte_fib6`, a trie of 24 and then 8 bits. 0 is what it gives where there is no prefix.
#[derive(Debug)]
pub struct Fib6(Held<sys::rte_fib6>);

impl Fib6 {
    /// Empty, with entries of four bytes; none where there is no memory for it, or the CPU lacks what the lookup needs.
    pub fn new(eal: &Eal, room: Room, lookup: Lookup) -> Option<Self> {
        use sys::rte_fib6_lookup_type as kind;
        let mut config = sys::rte_fib6_conf { type_: sys::rte_fib6_type::RTE_FIB6_TRIE, default_nh: 0, ..Default::default() };
        config.max_routes = i32::try_from(room.prefixes).ok()?;
        config.__bindgen_anon_1.trie.nh_sz = sys::rte_fib_trie_nh_sz::RTE_FIB6_TRIE_4B;
        config.__bindgen_anon_1.trie.num_tbl8 = room.groups;
        // SAFETY: EAL runs; name and configuration are copied.
        let held = Held::new(eal, sys::rte_fib6_free, |name| unsafe { sys::rte_fib6_create(name, -1, &raw mut config) })?;
        let kind = match lookup {
            Lookup::Scalar => kind::RTE_FIB6_LOOKUP_TRIE_SCALAR,
            Lookup::Vector => kind::RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512,
        };
        allow_vectors();
        // SAFETY: nobody looks up in it yet.
        (unsafe { sys::rte_fib6_select_lookup(held.get(), kind) } == 0).then_some(Self(held))
    }

    /// Whether it had room.
    pub fn add(&mut self, bits: [u8; 16], length: u8, value: u32) -> bool {
        // SAFETY: the table is ours alone while it changes; the address is read.
        unsafe { sys::rte_fib6_add(self.0.get(), bits.as_ptr(), length, value.into()) == 0 }
    }

    /// Values.
    pub fn lookup_bulk(&self, addresses: &[[u8; 16]], values: &mut [u64]) {
        let count = both(addresses.len(), values.len());
        // SAFETY: so many are in both; addresses are only read.
        unsafe { sys::rte_fib6_lookup_bulk(self.0.get(), addresses.as_ptr().cast_mut(), values.as_mut_ptr(), count.cast_signed()) };
    }
}

/// Asks for large pages under DPDK's memory where it has no hugepages, before tables are made in it.
pub fn advise_large_pages(_eal: &Eal) {
    // SAFETY: EAL runs; advice changes no content.
    unsafe { sys::tw_advise_large_pages() };
}

/// EAL keeps to 256 bits unless asked.
fn allow_vectors() {
    // SAFETY: sets a number; refused if the command line says otherwise, and then a vector lookup is too.
    unsafe { sys::rte_vect_set_max_simd_bitwidth(512) };
}

/// How many are in both.
fn both(addresses: usize, values: usize) -> u32 {
    u32::try_from(addresses.min(values)).unwrap_or(u32::MAX)
}
