// SPDX-License-Identifier: Apache-2.0
//! Bucket brigades: the lists of data that travel through httpd's filters. httpd has these operations as macros only.

use crate::ffi;
use std::ffi::c_char;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;

/// A brigade of a request's, alive for `'r`.
#[derive(Debug, Clone, Copy)]
pub struct Brigade<'r> {
    brigade: *mut ffi::apr_bucket_brigade,
    alive: PhantomData<&'r ()>,
}

/// A bucket in a brigade.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'r> {
    bucket: *mut ffi::apr_bucket,
    alive: PhantomData<&'r ()>,
}

impl<'r> Brigade<'r> {
    /// Wraps a brigade made by APR.
    ///
    /// # Safety
    ///
    /// [BRIGADE] the brigade lives for `'r` and is used by this thread only.
    pub unsafe fn new(brigade: *mut ffi::apr_bucket_brigade) -> Self {
        Self { brigade, alive: PhantomData }
    }

    /// The brigade for C.
    pub fn as_ptr(self) -> *mut ffi::apr_bucket_brigade {
        self.brigade
    }

    /// The place that stands for both ends of the ring: as if the brigade's own link were inside a bucket.
    fn sentinel(self) -> *mut ffi::apr_bucket {
        // SAFETY: [BRIGADE] alive; only the address of its list is taken.
        let list = unsafe { &raw mut (*self.brigade).list };
        list.cast::<u8>().wrapping_sub(offset_of!(ffi::apr_bucket, link)).cast()
    }

    /// The first bucket.
    pub fn first(self) -> Option<Bucket<'r>> {
        // SAFETY: [BRIGADE] alive.
        let bucket = unsafe { (*self.brigade).list.next };
        (bucket != self.sentinel()).then_some(Bucket { bucket, alive: PhantomData })
    }

    /// Puts a bucket at the end.
    ///
    /// # Safety
    ///
    /// [BRIGADE] `bucket` was just created and is in no brigade.
    pub unsafe fn push(self, bucket: *mut ffi::apr_bucket) {
        let sentinel = self.sentinel();
        // SAFETY: [BRIGADE] alive.
        let last = unsafe { (*self.brigade).list.prev };
        // SAFETY: [BRIGADE] the new bucket is ours until it is linked.
        unsafe { (*bucket).link = ffi::apr_bucket__bindgen_ty_1 { next: sentinel, prev: last } };
        // SAFETY: [BRIGADE] the last bucket, or the sentinel, whose `link` is the brigade's own list.
        unsafe { (*last).link.next = bucket };
        // SAFETY: [BRIGADE] alive.
        unsafe { (*self.brigade).list.prev = bucket };
    }

    /// Copies `data` to the end, into space shared by small blocks.
    pub fn append(self, data: &[u8]) {
        // SAFETY: [BRIGADE] alive; APR copies the data; without a flush function it only fails by ending the process.
        unsafe {
            ffi::apr_brigade_write(self.brigade, None, ptr::null_mut(), data.as_ptr().cast::<c_char>(), data.len());
        }
    }

    /// Deletes all buckets.
    pub fn clear(self) {
        // SAFETY: [BRIGADE] alive.
        unsafe { ffi::apr_brigade_cleanup(self.brigade.cast()) };
    }
}

impl<'r> Bucket<'r> {
    /// Whether this is the end of a body.
    pub fn is_end(self) -> bool {
        // SAFETY: [BRIGADE] the bucket is in a live brigade.
        let kind = unsafe { (*self.bucket).type_ };
        ptr::eq(kind, &raw const ffi::apr_bucket_type_eos)
    }

    /// Whether this says something about the stream and has no data.
    pub fn is_metadata(self) -> bool {
        // SAFETY: [BRIGADE] the bucket is in a live brigade.
        let kind = unsafe { (*self.bucket).type_ };
        // SAFETY: [BRIGADE] bucket types are static.
        unsafe { (*kind).is_metadata == ffi::APR_BUCKET_METADATA }
    }

    /// The bucket's data, which lives as long as the bucket.
    pub fn read(&self) -> Result<&[u8], ffi::apr_status_t> {
        let (mut start, mut length) = (ptr::null(), 0);
        // SAFETY: [BRIGADE] the bucket is in a live brigade.
        let kind = unsafe { (*self.bucket).type_ };
        // SAFETY: [BRIGADE] bucket types are static.
        let read = unsafe { (*kind).read };
        let Some(read) = read else { return Err(ffi::APR_EGENERAL) };
        // SAFETY: [BRIGADE] the type's own function on its bucket; the results go to locals.
        let status = unsafe { read(self.bucket, &raw mut start, &raw mut length, ffi::APR_BLOCK_READ) };
        if status != 0 {
            return Err(status);
        }
        if length == 0 {
            return Ok(&[]);
        }
        // SAFETY: [BRIGADE] the bucket answered with that many bytes at that place.
        Ok(unsafe { std::slice::from_raw_parts(start.cast(), length) })
    }

    /// Unlinks and destroys the bucket.
    pub fn delete(self) {
        // SAFETY: [BRIGADE] the bucket is in a live brigade; both neighbours are buckets or the sentinel.
        let link = unsafe { (*self.bucket).link };
        // SAFETY: [BRIGADE] as above.
        unsafe { (*link.prev).link.next = link.next };
        // SAFETY: [BRIGADE] as above.
        unsafe { (*link.next).link.prev = link.prev };
        // SAFETY: [BRIGADE] the bucket is ours now.
        let kind = unsafe { (*self.bucket).type_ };
        // SAFETY: [BRIGADE] bucket types are static.
        if let Some(destroy) = unsafe { (*kind).destroy } {
            // SAFETY: [BRIGADE] the type's own function on its bucket's data.
            let data = unsafe { (*self.bucket).data };
            // SAFETY: [BRIGADE] as above.
            unsafe { destroy(data) };
        }
        // SAFETY: [BRIGADE] the bucket is ours.
        if let Some(free) = unsafe { (*self.bucket).free } {
            // SAFETY: [BRIGADE] the bucket's own allocator takes it back.
            unsafe { free(self.bucket.cast()) };
        }
    }
}
