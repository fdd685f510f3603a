//! What decides beside the mode who may read a file: access control lists and security labels, kept as extended
//! attributes.

use std::fs::File;

use rustix::fs::{XattrFlags, fgetxattr, fremovexattr, fsetxattr};
use rustix::io::Errno;

use super::ReplaceError;

/// The attribute, and what it is called.
const ATTRIBUTES: [(&str, &str); 3] = [
    ("system.posix_acl_access", "access control list"),
    ("system.nfs4_acl", "access control list"),
    ("security.selinux", "security label"),
];

/// More than any of them.
const MAX_BYTES: usize = 64 * 1024;

/// Gives a new file what the old one has, and takes away what it has not: a directory can have a list of its own for new
/// files.
pub(super) fn keep(old: &File, new: &File) -> Result<(), ReplaceError> {
    for (name, what) in ATTRIBUTES {
        let failed = |error: Errno| ReplaceError::Access(what, reason(error));
        let (wanted, there) = (read(old, name).map_err(failed)?, read(new, name).map_err(failed)?);
        match wanted {
            _ if wanted == there => {}
            Some(value) => fsetxattr(new, name, &value, XattrFlags::empty()).map_err(failed)?,
            None => fremovexattr(new, name).map_err(failed)?,
        }
    }
    Ok(())
}

/// Makes sure that the new file has what the old one has.
pub(super) fn compare(old: &File, new: &File) -> Result<(), ReplaceError> {
    for (name, what) in ATTRIBUTES {
        let failed = |error: Errno| ReplaceError::Access(what, reason(error));
        if read(old, name).map_err(failed)? != read(new, name).map_err(failed)? {
            return Err(ReplaceError::Access(what, "the file system changes it".to_owned()));
        }
    }
    Ok(())
}

/// An attribute; none where the file has none, or the file system knows of none.
fn read(file: &File, name: &str) -> Result<Option<Vec<u8>>, Errno> {
    let mut value = vec![0; MAX_BYTES];
    match fgetxattr(file, name, &mut value) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn reason(error: Errno) -> String {
    crate::input::reason(&error.into())
}
