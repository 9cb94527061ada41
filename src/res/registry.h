/*
 * registry.h - all resources, in the order in which they are planned.
 */
#ifndef CKPT_RES_REGISTRY_H
#define CKPT_RES_REGISTRY_H

#include "res/res.h"

/** registry() - NULL-terminated, static */
const struct res *const *registry(void);

/** res_types() - the record types of all resources, NULL-terminated, static after the first call */
const struct model_type *const *res_types(void);

/** registry_find() - by record type; NULL: none */
const struct res *registry_find(const struct model_type *type);

#endif
