/*
 * agent_entry.S - where a new thread of the agent begins (x86_64).
 *
 * long agent_clone3(void *args, unsigned long size, struct agent_prog *child)
 * The child gets the stack that args names, with nothing on it; it runs its program and, should
 * that ever end, exits alone. The program's address survives the system call in r12, which the
 * kernel copies with all other registers.
 */
	.section .text
	.globl	agent_clone3
	.hidden	agent_clone3
	.type	agent_clone3, @function
agent_clone3:
	push	%r12
	mov	%rdx, %r12
	mov	$435, %eax		/* __NR_clone3 */
	syscall
	test	%rax, %rax
	jz	1f
	pop	%r12
	ret
1:
	xor	%ebp, %ebp
	and	$-16, %rsp
	mov	%r12, %rdi
	call	agent_main
	xor	%edi, %edi
	mov	$60, %eax		/* __NR_exit */
	syscall
	hlt
	.size	agent_clone3, . - agent_clone3
	.section .note.GNU-stack, "", @progbits
