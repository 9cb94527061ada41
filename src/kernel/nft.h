/*
 * nft.h - transactions of nftables: messages that the kernel carries out all, or none of.
 *
 * A batch is built message by message and sent as one datagram; the kernel has answered when
 * sendmsg(2) returns. Attributes are added by libnl's nla_put() to the message that was begun last.
 */
#ifndef CKPT_KERNEL_NFT_H
#define CKPT_KERNEL_NFT_H

#include <stddef.h>
#include <stdint.h>

struct nl_msg;

struct nft_batch {
	uint8_t *buf;
	size_t len, cap;
	uint32_t seq;       /* of the last message */
	struct nl_msg *msg; /* under way; NULL: none */
	int err;            /* the first thing that went wrong; 0 */
};

/**
 * nft_open() - a socket for transactions, close-on-exec
 * What is owned by it (NFT_TABLE_F_OWNER) goes when it is closed, by whoever and however.
 * Return: owned by the caller; -EPROTONOSUPPORT: no netfilter here; -errno
 */
int nft_open(void);

/** nft_begin() - begin a batch; ended by nft_done() */
void nft_begin(struct nft_batch *b);

/**
 * nft_msg() - begin the next message
 * @type: NFT_MSG_*; @flags: NLM_F_* beyond NLM_F_REQUEST; @family: NFPROTO_*
 * @room: bytes that its attributes may take, below 64 KiB
 * Return: the message, borrowed; NULL: out of memory, as nft_send() will say
 */
struct nl_msg *nft_msg(struct nft_batch *b, int type, int flags, int family, size_t room);

/** nft_end() - the batch is whole */
void nft_end(struct nft_batch *b);

/**
 * nft_send() - have a whole batch carried out; async-signal-safe
 * Return: 0; -EPERM, -EOPNOTSUPP, -ENOENT, -EEXIST and the like, and nothing was done; -ENOMEM
 */
int nft_send(int fd, struct nft_batch *b);

void nft_done(struct nft_batch *b);

/**
 * nft_list_tables() - look at all tables of a family
 * @fn: called with the name, NFTA_TABLE_FLAGS and the user data (NULL, 0: none) of each
 * Return: 0; -errno.
 */
int nft_list_tables(int fd, int family,
	void (*fn)(const char *name, uint32_t flags, const void *data, size_t len, void *arg),
	void *arg);

#endif
