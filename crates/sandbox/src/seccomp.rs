//! The system calls that the inside may not make.
//!
//! Three small filters are stacked; the kernel takes the strictest answer. *Refused* calls fail with EPERM: they change
//! the machine, cross a boundary, or have been the way out of too many sandboxes. *Absent* calls fail with ENOSYS, so
//! that a C library falls back to an older one whose arguments a filter can read (`clone3` keeps its flags behind a
//! pointer). *Unknown* calls, which are newer than this list, fail with ENOSYS too; the same comparison removes the
//! whole x32 table, whose numbers start at 2^30. Calls of another architecture kill the process.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// The newest call that this list has judged: `futex_requeue`. Call numbers above 423 are the same on every
/// architecture.
const SYSCALL_NUMBER_MAX: u32 = 456;

/// Refused whatever the arguments.
const REFUSED: &[c_long] = &[
    // Asynchronous calls go round every filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Keyrings are not namespaced by user.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Kernel programming and observation.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_syslog,
    libc::SYS_lookup_dcookie,
    libc::SYS_kcmp,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // Other processes' memory and descriptors.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_memfd_secret,
    libc::SYS_vmsplice,
    libc::SYS_remap_file_pages,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
];

/// Refused calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[];

/// `clone` flags that make a namespace.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The filters as the kernel reads them, one program each.
pub(crate) fn programs() -> Result<Vec<Vec<u8>>, seccompiler::Error> {
    Ok(vec![bytes(&unknown_calls()), bytes(&refused_calls()?), bytes(&absent_calls()?)])
}

fn architecture() -> Result<TargetArch, seccompiler::Error> {
    Ok(TargetArch::try_from(std::env::consts::ARCH)?)
}

fn refused_calls() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|number| (*number, Vec::new())).collect();

    let clone = NAMESPACE_FLAGS.iter().map(|flag| {
        let flag = *flag as u64;
        all_of(&[(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)])
    });
    rules.insert(libc::SYS_clone, clone.collect::<Result<_, _>>()?);

    // Families whose code is reached without a privilege and is of no use without a network.
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    let other_family: Vec<_> = families.iter().map(|family| is_not(0, *family as u64)).collect();
    let netlink_beyond_routes = [is(0, libc::AF_NETLINK as u64), is_not(2, libc::NETLINK_ROUTE as u64)];
    rules.insert(libc::SYS_socket, vec![all_of(&other_family)?, all_of(&netlink_beyond_routes)?]);
    rules.insert(libc::SYS_socketpair, vec![all_of(&[is_not(0, libc::AF_UNIX as u64)])?]);

    // Both put characters into the input of a terminal.
    let terminal_input = [libc::TIOCSTI, libc::TIOCLINUX];
    let terminal_input = terminal_input.iter().map(|request| all_of(&[is(1, *request)]));
    rules.insert(libc::SYS_ioctl, terminal_input.collect::<Result<_, _>>()?);

    // Asking (0xffffffff) and the ordinary one are allowed.
    rules.insert(libc::SYS_personality, vec![all_of(&[is_not(0, 0), is_not(0, 0xffff_ffff)])?]);

    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::EPERM as u32), architecture()?)?;
    Ok(filter.try_into()?)
}

fn absent_calls() -> Result<BpfProgram, seccompiler::Error> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let action = SeccompAction::Errno(libc::ENOSYS as u32);
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, action, architecture()?)?.try_into()?)
}

fn unknown_calls() -> BpfProgram {
    let statement = |code: u32, k: u32| sock_filter { code: code as u16, jt: 0, jf: 0, k };
    vec![
        // The call's number is the first word of what a filter sees.
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        sock_filter { code: (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16, jt: 0, jf: 1, k: SYSCALL_NUMBER_MAX },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ]
}

type Condition = (u8, SeccompCmpArgLen, SeccompCmpOp, u64);

fn is(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn is_not(argument: u8, value: u64) -> Condition {
    (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value)
}

fn all_of(conditions: &[Condition]) -> Result<SeccompRule, seccompiler::Error> {
    let conditions = conditions
        .iter()
        .map(|(argument, length, operator, value)| {
            SeccompCondition::new(*argument, length.clone(), operator.clone(), *value)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(SeccompRule::new(conditions)?)
}

fn bytes(program: &BpfProgram) -> Vec<u8> {
    program
        .iter()
        .flat_map(|instruction| {
            let [c0, c1] = instruction.code.to_ne_bytes();
            let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
            [c0, c1, instruction.jt, instruction.jf, k0, k1, k2, k3]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_made_of_whole_instructions() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), 3);
        for program in programs {
            assert!(!program.is_empty());
            assert_eq!(program.len() % 8, 0);
            assert!(program.len() / 8 < 4096, "the kernel takes at most 4,096 instructions");
        }
    }
}
