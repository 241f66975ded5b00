/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests of character back ends: a loop, a folder, a front end that writes down what happens. */
#pragma once

#include "engine/char/char.h"

typedef struct Fixture
{
  VmLock *lock;
  bool entered;
  VmLoop *loop;
  VmClocks *clocks;
  VmObject *root;
  VmCharEnv env;
  char *dir;
  int quits, commits, exit_status;
  VmChardev *vc;
} Fixture;

/* A front end that writes down what happens. */
typedef struct Front
{
  VmCharFe fe;
  GString *got; /* bytes, and events in angle brackets */
  size_t room;  /* what it takes */
  int writable;
} Front;

extern const VmCharFeOps front_ops;

void front_attach (Front *f, VmChardev *chr);
void front_end (Front *f);
void front_write (Front *f, const char *text);
void set_up (Fixture *f, const void *data);
void spin (Fixture *f);
/* Turns the loop until what the front end got is WANT. */
void expect (Fixture *f, Front *front, const char *want);
void tear_down (Fixture *f, const void *data);
/* "%" in TEXT is the test's folder. */
char *in_dir (Fixture *f, const char *text);
VmChardev *try_new (Fixture *f, const char *text, GError **error);
VmChardev *make (Fixture *f, const char *text);
void expect_error (Fixture *f, const char *text, const char *message);
void expect_file (Fixture *f, const char *name, const char *want);
void expect_read (Fixture *f, int fd, const char *want);
void put (int fd, const char *text);
/* To the port a TCP server has got. */
int connect_tcp (VmChardev *chr);
