/*
 * rtnl.h - rtnetlink: what the kernel tells of addresses and routes, and telling it.
 */
#ifndef CKPT_KERNEL_RTNL_H
#define CKPT_KERNEL_RTNL_H

#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * rtnl_dump() - have all objects of a kind told
 * @type: RTM_GETADDR or RTM_GETROUTE; of all families
 * @fn: called with each; a negative result ends it
 * Return: 0; what fn returned; -errno.
 * Source: rtnetlink(7).
 */
int rtnl_dump(int type, int (*fn)(const struct nlmsghdr *h, void *arg), void *arg);

/**
 * rtnl_send() - make or remove an object
 * @type: RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE
 * @flags: NLM_F_CREATE and the like
 * @body: struct ifaddrmsg or rtmsg and its attributes
 * Return: 0; -errno as the kernel answers.
 */
int rtnl_send(int type, int flags, const void *body, size_t len);

/** rtnl_attr() - an attribute in the attributes of a message; NULL: it has none such */
const struct rtattr *rtnl_attr(const void *attrs, size_t len, int type);

#endif
