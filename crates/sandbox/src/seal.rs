//! What a launcher that is root does in the child before bubblewrap starts.
//!
//! Why: bubblewrap maps the one user inside to the user who launched it. If that is root, every inode that root owns
//! on the host is *owned* inside, capabilities or not: `chmod 000 /dev/null` would reach the host's device. So
//! bubblewrap is started in a private mount namespace whose `/dev` is read-only: writing to a device stays possible,
//! changing its inode does not, and the mounts that bubblewrap copies keep the flag. (bubblewrap's own `--remount-ro`
//! also forbids devices, so it cannot be used for this. `/proc` is dealt with in the profile.)

use std::ffi::CStr;
use std::io;

/// The directory, then the nodes that bubblewrap copies: in some containers each is a mount of its own.
const DEVICES: [&CStr; 7] =
    [c"/dev", c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom", c"/dev/tty"];

/// As the kernel defines it for `mount_setattr`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace_fd: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 1;

/// Makes the devices' inodes read-only in a mount namespace of this process's own.
///
/// Runs between fork and exec, so it allocates nothing and calls nothing but the kernel.
pub(crate) fn seal_devices() -> io::Result<()> {
    let none = std::ptr::null();
    // SAFETY: plain system calls on constant strings; this process has one thread.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()))?;
        // Only a mount can have the attribute, and `/dev` may be a plain directory.
        check(libc::mount(c"/dev".as_ptr(), c"/dev".as_ptr(), none, libc::MS_BIND | libc::MS_REC, none.cast()))?;
    }
    let attributes = MountAttributes { set: MOUNT_ATTR_RDONLY, clear: 0, propagation: 0, user_namespace_fd: 0 };
    for (index, device) in DEVICES.iter().enumerate() {
        // SAFETY: the string and the attributes outlive the call, and the size is that of the attributes.
        let result = unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                libc::AT_FDCWD,
                device.as_ptr(),
                0,
                &raw const attributes,
                size_of::<MountAttributes>(),
            )
        };
        if result != 0 {
            let error = io::Error::last_os_error();
            // A node that is absent, or is no mount of its own, has been covered with its directory.
            let covered = index > 0 && matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOENT));
            if !covered {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
