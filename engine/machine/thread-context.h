/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object thread-context: a thread that makes others, which inherit the host processors it may run on. */
#pragma once

#include "engine/object/user-object.h"

typedef struct VmThreadContext VmThreadContext;

extern const VmType vm_thread_context_type;

/* A thread that the context's thread made; g_thread_join() it. */
GThread *vm_thread_context_spawn (VmThreadContext *context, GThreadFunc func, gpointer data);
