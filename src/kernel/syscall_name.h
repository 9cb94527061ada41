/*
 * Names of system calls, for messages.
 */
#ifndef CKPT_KERNEL_SYSCALL_NAME_H
#define CKPT_KERNEL_SYSCALL_NAME_H

/**
 * syscall_name() - the name of a system call of this ISA
 * @nr:  its number
 * Return: static, without prefix ("futex"); NULL for a number that the build's headers lack.
 */
const char *syscall_name(long nr);

#endif
