/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of the block layer: a graph of their own, functions run in its fibers, options as text. */
#pragma once

#include "block/node.h"

#include <glib/gstdio.h>

typedef struct GraphTest
{
  VmBlockGraph *graph;
  char *dir; /* for images; gone at the end */
} GraphTest;

static inline GraphTest *
graph_test_new (void)
{
  GraphTest *t = g_new0 (GraphTest, 1);

  t->graph = vm_graph_new (vm_block_drivers, NULL);
  t->dir = g_dir_make_tmp ("block-XXXXXX", NULL);
  return t;
}

static inline void
graph_test_free (GraphTest *t)
{
  g_autoptr (GDir) dir = g_dir_open (t->dir, 0, NULL);
  const char *name;

  vm_graph_free (t->graph);
  while (dir && (name = g_dir_read_name (dir)))
    {
      g_autofree char *path = g_build_filename (t->dir, name, NULL);
      g_unlink (path);
    }
  g_rmdir (t->dir);
  g_free (t->dir);
  g_free (t);
}

static inline void
graph_test_run (GraphTest *t, void (*func) (GraphTest *t))
{
  vm_graph_call (t->graph, (VmFiberFunc) (void (*) (void)) func, t);
}

/* A file of SIZE bytes that repeat 1, 2 ... 251. */
static inline char *
graph_test_file (GraphTest *t, const char *name, size_t size)
{
  char *path = g_build_filename (t->dir, name, NULL);
  g_autofree char *bytes = g_malloc (MAX (size, 1));

  for (size_t i = 0; i < size; i++)
    bytes[i] = (char) (i % 251 + 1);
  g_assert_true (g_file_set_contents (path, bytes, (gssize) size, NULL));
  return path;
}

/* Options in JSON with single quotes; %s stands for arguments. In a fiber. */
static inline VmNode *
graph_test_open (GraphTest *t, unsigned flags, GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_strdelimit (text, "'", '"');
  json_object *options = json_tokener_parse (text);
  g_assert_nonnull (options);
  VmNode *node = vm_node_open (t->graph, options, VM_SCHEMA_JSON, flags, error);
  json_object_put (options);
  return node;
}

#define graph_test_fails(error, words)                                                                                 \
  G_STMT_START                                                                                                         \
  {                                                                                                                    \
    g_assert_nonnull (error);                                                                                          \
    g_assert_cmpstr ((error)->message, ==, (words));                                                                   \
    g_clear_error (&(error));                                                                                          \
  }                                                                                                                    \
  G_STMT_END
