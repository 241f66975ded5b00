/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The family of entropy sources, rng-builtin (getrandom(2)) and rng-random (a device file). */
#include "engine/rng/rng-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#define REQUESTS_MAX 64

struct VmRngRequest
{
  VmRng *rng;
  size_t size;
  VmRngDeliver func;
  void *opaque;
};

VmRng *
vm_rng_find (VmObject *root, const char *id, GError **error)
{
  VmRng *rng = (VmRng *) vm_user_object_find (root, id);

  if (rng && vm_object_is_a (&rng->parent, &vm_rng_type))
    return rng;
  vm_fail (error, "Device '%s' not found", id);
  return NULL;
}

VmRngRequest *
vm_rng_request (VmRng *rng, VmLoop *loop, size_t size, VmRngDeliver func, void *opaque)
{
  const VmRngClass *klass = vm_type_klass (rng->parent.type);

  if (size == 0 || g_queue_get_length (&rng->requests) >= REQUESTS_MAX)
    return NULL;
  VmRngRequest *request = g_new (VmRngRequest, 1);
  *request = (VmRngRequest){ rng, MIN (size, VM_RNG_REQUEST_MAX), func, opaque };
  g_queue_push_tail (&rng->requests, request);
  rng->loop = loop;
  klass->start (rng, request->size);
  return request;
}

void
vm_rng_cancel (VmRngRequest *request)
{
  VmRng *rng = request->rng;
  const VmRngClass *klass = vm_type_klass (rng->parent.type);

  g_queue_remove (&rng->requests, request);
  g_free (request);
  if (g_queue_is_empty (&rng->requests) && klass->cancelled)
    klass->cancelled (rng);
}

size_t
vm_rng_wanted (const VmRng *rng)
{
  const VmRngRequest *request = g_queue_peek_head ((GQueue *) &rng->requests);

  return request ? request->size : 0;
}

size_t
vm_rng_deliver (VmRng *rng, const uint8_t *buf, size_t len)
{
  VmRngRequest *request = g_queue_pop_head (&rng->requests);
  size_t n = MIN (len, request->size);

  request->func (request->opaque, buf, n);
  g_free (request);
  return n;
}

static bool
rng_can_go (VmObject *obj)
{
  return g_queue_is_empty (&((VmRng *) obj)->requests);
}

static void
rng_finalize (VmObject *obj)
{
  g_queue_clear_full (&((VmRng *) obj)->requests, g_free); /* at the end of the machine, when nobody listens */
}

static const VmProp rng_props[] = { { .name = "opened",
                                      .help = "the source is there",
                                      .kind = VM_PROP_BOOL,
                                      .flags = VM_PROP_READONLY,
                                      VM_PROP_COMMON (VmRng, opened) },
                                    { 0 } };

const VmType vm_rng_type = {
  .name = "rng-backend",
  .parent = &vm_user_object_type,
  .size = sizeof (VmRng),
  .abstract = true,
  .help = "a source of entropy",
  .props = rng_props,
  .finalize = rng_finalize,
};

/* --- rng-builtin --------------------------------------------------------------------------------- */

static void
builtin_answer (void *opaque)
{
  VmRng *rng = opaque;
  uint8_t buf[256]; /* the kernel gives this much at once, without interruption */
  size_t size = MIN (vm_rng_wanted (rng), sizeof buf);

  if (size && getrandom (buf, size, 0) == (ssize_t) size)
    vm_rng_deliver (rng, buf, size);
  vm_object_unref (&rng->parent);
}

static void
builtin_start (VmRng *rng, size_t size)
{
  vm_object_ref (&rng->parent);
  vm_loop_post (rng->loop, builtin_answer, rng);
}

static bool
builtin_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  ((VmRng *) obj)->opened = true;
  return true;
}

static const VmRngClass builtin_class = {
  .user = { .complete = builtin_complete, .can_go = rng_can_go },
  .start = builtin_start,
};

const VmType vm_rng_builtin_type = {
  .name = "rng-builtin",
  .parent = &vm_rng_type,
  .size = sizeof (VmRng),
  .help = "entropy of the host's kernel",
  .klass = &builtin_class,
};

/* --- rng-random ---------------------------------------------------------------------------------- */

typedef struct RngRandom
{
  VmRng parent;
  char *filename;
  int fd;
  GSource *source;
} RngRandom;

/* Waits for input while somebody wants it: a hardware generator may take its time. */
static bool
random_in (int fd, GIOCondition condition, void *opaque)
{
  RngRandom *s = opaque;
  VmRng *rng = &s->parent;
  uint8_t buf[4096];
  size_t wanted = MIN (vm_rng_wanted (rng), sizeof buf);
  ssize_t n = wanted ? read (fd, buf, wanted) : 0;

  vm_object_ref (&rng->parent);
  if (n > 0)
    vm_rng_deliver (rng, buf, n);
  /* At the end of a file there is no more to come: who asked keeps waiting. */
  if (vm_rng_wanted (rng) == 0 || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
    vm_source_clear (&s->source);
  vm_object_unref (&rng->parent);
  return true;
}

static void
random_start (VmRng *rng, size_t size)
{
  RngRandom *s = (RngRandom *) rng;

  if (!s->source)
    s->source = vm_loop_watch_fd (rng->loop, s->fd, G_IO_IN, random_in, s);
}

static void
random_cancelled (VmRng *rng)
{
  vm_source_clear (&((RngRandom *) rng)->source);
}

static bool
random_complete (VmObject *obj, VmMachine *machine, GError **error)
{
  RngRandom *s = (RngRandom *) obj;

  s->fd = open (s->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  s->parent.opened = s->fd >= 0;
  return s->parent.opened || vm_fail (error, "Could not open '%s': %s", s->filename, g_strerror (errno));
}

static void
random_init (VmObject *obj)
{
  ((RngRandom *) obj)->fd = -1;
}

static void
random_finalize (VmObject *obj)
{
  RngRandom *s = (RngRandom *) obj;

  vm_source_clear (&s->source);
  if (s->fd >= 0)
    close (s->fd);
}

static const VmRngClass random_class = {
  .user = { .complete = random_complete, .can_go = rng_can_go },
  .start = random_start,
  .cancelled = random_cancelled,
};

static const VmProp random_props[]
    = { VM_PROP_STRING ("filename", RngRandom, filename, "/dev/urandom", "device that is read"), { 0 } };

const VmType vm_rng_random_type = {
  .name = "rng-random",
  .parent = &vm_rng_type,
  .size = sizeof (RngRandom),
  .help = "entropy of a host device",
  .props = random_props,
  .klass = &random_class,
  .init = random_init,
  .finalize = random_finalize,
};
