/*
 * wish.h - which semaphore sets and message queues a dump is to save (--sysvipc).
 *
 * Nothing ties such an object to a process, so the caller says it: "tree" are those that a task of
 * the tree was the last to use; "sem:ID", "msg:ID" and "0xKEY" name one each. Several are separated by
 * commas.
 */
#ifndef CKPT_RES_IPC_WISH_H
#define CKPT_RES_IPC_WISH_H

#include <stdbool.h>
#include <sys/types.h>

/** wish_wrong() - Return: NULL; or the static reason why a text is no wish */
const char *wish_wrong(const char *text);

/** wish_tree() - whether those are wished that the tree uses. @wishes: NULL-terminated, or NULL */
bool wish_tree(const char *const *wishes);

/**
 * wish_names() - whether one is wished by name
 * @kind: "sem" or "msg"
 * @key: 0: private, which is never meant by a key
 */
bool wish_names(const char *const *wishes, const char *kind, int id, key_t key);

#endif
