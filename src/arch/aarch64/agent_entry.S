/*
 * agent_entry.S - where a new thread of the agent begins (aarch64).
 *
 * long agent_clone3(void *args, unsigned long size, struct agent_prog *child)
 * The child gets the stack that args names, with nothing on it; it runs its program and, should
 * that ever end, exits alone. The program's address survives the system call in x2, which the kernel
 * copies with all other registers.
 */
	.section .text
	.globl	agent_clone3
	.hidden	agent_clone3
	.type	agent_clone3, %function
agent_clone3:
	mov	x8, #435		/* __NR_clone3 */
	svc	#0
	cbz	x0, 1f
	ret
1:
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x2
	bl	agent_main
	mov	x0, xzr
	mov	x8, #93			/* __NR_exit */
	svc	#0
	udf	#0
	.size	agent_clone3, . - agent_clone3
	.section .note.GNU-stack, "", %progbits
