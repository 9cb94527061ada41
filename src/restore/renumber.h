/*
 * renumber.h - a model whose root gets another number, and comes into another session and process group.
 *
 * All that an image holds is said in numbers of tasks and threads. Where the root is to be a process that is
 * there already, all that name it are changed in the loaded model, before anybody looks into that. So no
 * resource knows of it. What the program has in its own memory (a pid that it keeps in a variable, a pid
 * file) nobody else can know of; it is told (the THAW callback).
 *
 * Which fields hold such numbers is said once, by a table in renumber.c; a new field has its row there.
 */
#ifndef CKPT_RESTORE_RENUMBER_H
#define CKPT_RESTORE_RENUMBER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/op.h"
#include "model/model.h"

/**
 * renumber_root() - have the root of a model be another process
 * Its session becomes one that is led from outside, and so does its group, with all that are in them; groups
 * and sessions that other tasks lead stay. As pgid and sid that is 0, which no task has.
 * @now: the number that it gets, in the pid namespace in which the image is restored
 * @group: the process group of that process, for what is owned by the root's group (F_SETOWN)
 * @ret_was: the number that it had
 * Return: 0; negative after op_fail(): CKPT_E_CONFLICT another task, thread or group of the image has that
 * number; CKPT_E_REFUSED the root led the session of a terminal that is of the tree; CKPT_E_IMAGE; CKPT_E_SPACE.
 */
int renumber_root(struct ckpt_op *op, struct model *m, pid_t now, pid_t group, pid_t *ret_was);

/** renumber_knows() - whether a field of a message is among those that hold numbers; for tests */
bool renumber_knows(const ProtobufCMessageDescriptor *of, const char *field);

#endif
