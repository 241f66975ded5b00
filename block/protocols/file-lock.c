/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Locks on image files that programs of other makers see and respect: a shared lock on byte 100 + N says that
 * permission N is in use, one on byte 200 + N that nobody else may have it. */
#include "block/protocols/file-private.h"

#include "engine/base/fdset.h"
#include "engine/schema/types.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define USED_BYTE 100
#define UNSHARED_BYTE 200
#define N_PERMS 4

static const char *const perm_names[N_PERMS] = { "consistent read", "write", "write unchanged", "resize" };

static int
lock_byte (int fd, int type, unsigned byte)
{
  struct flock lock = { .l_type = (short) type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

  while (fcntl (fd, F_OFD_SETLK, &lock) < 0)
    if (errno != EINTR)
      return -errno;
  return 0;
}

static bool
is_held_by_others (int fd, unsigned byte)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

  return fcntl (fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool
file_choose_locking (FileState *s, int choice, GError **error)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = USED_BYTE, .l_len = 1 };

  s->locking = choice != VMQ_ON_OFF_AUTO_OFF && fcntl (s->lock_fd, F_OFD_GETLK, &lock) == 0;
  if (choice == VMQ_ON_OFF_AUTO_ON && !s->locking)
    return vm_fail (error, "Could not lock '%s': %s", s->path, g_strerror (errno));
  return true;
}

/* Takes those of WANTED at BASE that are not HELD yet. */
static bool
take (int fd, unsigned base, unsigned wanted, unsigned *held, GError **error)
{
  for (unsigned i = 0; i < N_PERMS; i++)
    {
      unsigned bit = 1u << i;
      if (!(wanted & bit) || (*held & bit))
        continue;
      int status = lock_byte (fd, F_RDLCK, base + i);
      if (status < 0)
        return vm_fail (error, "Failed to lock byte %u: %s", base + i, g_strerror (-status));
      *held |= bit;
    }
  return true;
}

static void
drop (int fd, unsigned base, unsigned wanted, unsigned *held)
{
  for (unsigned i = 0; i < N_PERMS; i++)
    if ((*held & ~wanted) & (1u << i))
      {
        lock_byte (fd, F_UNLCK, base + i);
        *held &= ~(1u << i);
      }
}

static bool
check_others (int fd, const char *path, unsigned perm, unsigned unshared, GError **error)
{
  for (unsigned i = 0; i < N_PERMS; i++)
    {
      bool forbidden = (perm & (1u << i)) && is_held_by_others (fd, UNSHARED_BYTE + i);
      if (forbidden || ((unshared & (1u << i)) && is_held_by_others (fd, USED_BYTE + i)))
        return vm_fail (error, "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?",
                        forbidden ? "" : "shared ", perm_names[i], path);
    }
  return true;
}

static void
keep_locks (FileState *s, unsigned perm, unsigned unshared)
{
  drop (s->lock_fd, USED_BYTE, perm, &s->locked);
  drop (s->lock_fd, UNSHARED_BYTE, unshared, &s->locked_unshared);
}

static bool
is_same_file (int a, int b)
{
  struct stat sa, sb;

  return fstat (a, &sa) == 0 && fstat (b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Another descriptor, for writing, beside the one that locks stay with. */
static bool
become_writable (VmNode *node, GError **error)
{
  FileState *s = node->state;
  int fd = file_open_fd (node, s->path, true);

  if (fd < 0)
    return vm_fail (error, "Could not open '%s': %s", s->path, g_strerror (errno));
  if (!is_same_file (fd, s->lock_fd))
    {
      close (fd);
      return vm_fail (error, "Could not open '%s': it is another file now", s->path);
    }
  if (s->fd != s->lock_fd)
    close (s->fd);
  s->fd = fd;
  s->writable = true;
  return true;
}

bool
file_set_perms (VmNode *node, unsigned perm, unsigned shared, bool commit, GError **error)
{
  FileState *s = node->state;
  unsigned unshared = VM_PERM_ALL & ~shared;

  if (commit)
    {
      if (s->locking)
        keep_locks (s, perm, unshared);
      return true;
    }
  if ((perm & (VM_PERM_WRITE | VM_PERM_RESIZE | VM_PERM_UNCHANGED)) && !s->writable && !node->readonly
      && !become_writable (node, error))
    return false;
  /* What was taken here and is not needed after all goes with the commit that always follows. */
  return !s->locking
         || (take (s->lock_fd, USED_BYTE, perm, &s->locked, error)
             && take (s->lock_fd, UNSHARED_BYTE, unshared, &s->locked_unshared, error)
             && check_others (s->lock_fd, s->path, perm, unshared, error));
}

bool
file_check_unused (int fd, const char *path, GError **error)
{
  unsigned used = 0, unshared = 0;

  return take (fd, USED_BYTE, VM_PERM_WRITE | VM_PERM_RESIZE, &used, NULL)
             ? take (fd, UNSHARED_BYTE, VM_PERM_WRITE | VM_PERM_RESIZE, &unshared, NULL)
                   && check_others (fd, path, VM_PERM_WRITE | VM_PERM_RESIZE, VM_PERM_WRITE | VM_PERM_RESIZE, error)
             : true; /* a file system without locks */
}
