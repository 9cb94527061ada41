/*
 * boot_id.h - which start of which machine this is.
 */
#ifndef CKPT_KERNEL_BOOT_ID_H
#define CKPT_KERNEL_BOOT_ID_H

#define BOOT_ID_LEN 37 /* with the zero */

/**
 * boot_id_read() - read it
 * @ret: "" where it is not known
 * Source: random(4), /proc/sys/kernel/random/boot_id.
 */
void boot_id_read(char ret[BOOT_ID_LEN]);

#endif
