/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The register-level test protocol: a line-based server that reads and writes memory and ports, watches
 * interrupt lines and moves the virtual clock; and the accelerator that runs no guest code. */
#pragma once

#include "engine/machine/machine.h"

typedef struct VmQtest VmQtest;

/* Serves the back end machine->qtest_chardev. */
VmQtest *vm_qtest_new (VmMachine *machine, GError **error);
/* Serves the back end CHARDEV. LOG: a file that gets what is said; "none"; NULL: stderr. */
VmQtest *vm_qtest_serve (VmMachine *machine, const char *chardev, const char *log, GError **error);
void vm_qtest_free (VmQtest *qtest);

extern const VmAccelOps vm_qtest_accel_ops;
