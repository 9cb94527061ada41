/*
 * The agent as data: the flat binary that src/agent is linked into, carried in the library's
 * read-only section and copied into a target or a restored task by whoever includes
 * "inject/" headers. Position independent, no relocation (src/agent/agent.lds refuses any).
 */
	.section .rodata.agent_blob, "a"
	.balign 16
	.globl agent_blob
	.type agent_blob, %object
agent_blob:
	.incbin "agent.bin"
	.globl agent_blob_end
	.type agent_blob_end, %object
agent_blob_end:
	.byte 0
	.size agent_blob, agent_blob_end - agent_blob

	.section .note.GNU-stack, "", %progbits
