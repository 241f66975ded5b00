/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's part: system calls, switches between processes, page faults, processes, signals, files. */
#define _GNU_SOURCE
#include "tests/bench/guest/bench.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t
syscalls (uint64_t amount)
{
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    sum += syscall (SYS_getppid) > 0;
  return sum;
}

static void
check (bool good)
{
  if (!good)
    abort ();
}

/* A byte to another process and back: two switches. */
static uint64_t
switches (uint64_t amount)
{
  int there[2], back[2];
  uint64_t sum = 0;
  uint8_t byte;
  pid_t child;

  check (pipe (there) == 0 && pipe (back) == 0);
  child = fork ();
  check (child >= 0);
  if (child == 0)
    {
      close (there[1]);
      while (read (there[0], &byte, 1) == 1)
        {
          byte++;
          check (write (back[1], &byte, 1) == 1);
        }
      _exit (0);
    }
  for (uint64_t i = 0; i < amount; i++)
    {
      byte = (uint8_t) i;
      check (write (there[1], &byte, 1) == 1 && read (back[0], &byte, 1) == 1);
      sum += byte;
    }
  close (there[1]);
  waitpid (child, NULL, 0);
  for (int i = 0; i < 2; i++)
    close (back[i]);
  close (there[0]);
  return sum;
}

static uint64_t
faults (uint64_t amount)
{
  enum { SIZE = 1 << 20 };
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      uint8_t *pages = mmap (NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

      check (pages != MAP_FAILED);
      for (size_t at = 0; at < SIZE; at += 4096)
        sum += ++pages[at];
      munmap (pages, SIZE);
    }
  return sum;
}

static uint64_t
forks (uint64_t amount)
{
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      pid_t child = fork ();
      int status;

      check (child >= 0);
      if (child == 0)
        _exit (i & 63);
      check (waitpid (child, &status, 0) == child);
      sum += WEXITSTATUS (status);
    }
  return sum;
}

static uint64_t
execs (uint64_t amount)
{
  uint64_t sum = 0;

  for (uint64_t i = 0; i < amount; i++)
    {
      pid_t child = fork ();
      int status;

      check (child >= 0);
      if (child == 0)
        {
          execl ("/proc/self/exe", "bench", "nothing", (char *) NULL);
          _exit (1);
        }
      check (waitpid (child, &status, 0) == child);
      sum += status == 0;
    }
  return sum;
}

static volatile uint64_t caught;

static void
handler (int number)
{
  caught += (uint64_t) number;
}

static uint64_t
signals (uint64_t amount)
{
  signal (SIGUSR1, handler);
  for (uint64_t i = 0; i < amount; i++)
    raise (SIGUSR1);
  return caught;
}

/* Reading a file of the page cache piece by piece: entry, copy, exit. */
static uint64_t
reads (uint64_t amount)
{
  static uint8_t buffer[4096];
  int file = open ("/proc/self/exe", O_RDONLY);
  uint64_t sum = 0;

  check (file >= 0);
  for (uint64_t i = 0; i < amount; i++)
    sum += (uint64_t) pread (file, buffer, i & 1 ? 4096 : 256, (off_t) (i * 512 & 0x3ffff));
  close (file);
  return sum;
}

const BenchRow bench_system[] = {
  { "syscall", syscalls }, { "switch", switches }, { "page-fault", faults }, { "fork", forks },
  { "exec", execs },       { "signal", signals },  { "read", reads },
  { NULL, NULL },
};
