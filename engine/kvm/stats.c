/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel's counters of a virtual machine and its processors (KVM API, section 4.133). */
#include "config.h"

#include "engine/kvm/kvm-private.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_STATS 1024u
#define MAX_VALUES 1024u

typedef struct Source
{
  int fd;
  struct kvm_stats_header head;
  VmAccelStat stat;
  uint64_t values[MAX_VALUES];
} Source;

static bool
read_all (int fd, void *buf, size_t len, uint64_t at)
{
  return pread (fd, buf, len, (off_t) at) == (ssize_t) len;
}

/* The description at place I; false: it makes no sense. */
static bool
read_stat (Source *s, unsigned i, struct kvm_stats_desc *desc)
{
  static const unsigned bases[] = { 10, 2 };
  size_t size = sizeof *desc + s->head.name_size;

  if (!read_all (s->fd, desc, size, s->head.desc_offset + (uint64_t) i * size) || !desc->size || desc->size > MAX_VALUES
      || !memchr (desc->name, 0, s->head.name_size))
    return false;
  unsigned type = (desc->flags & KVM_STATS_TYPE_MASK) >> KVM_STATS_TYPE_SHIFT;
  unsigned unit = (desc->flags & KVM_STATS_UNIT_MASK) >> KVM_STATS_UNIT_SHIFT;
  unsigned base = (desc->flags & KVM_STATS_BASE_MASK) >> KVM_STATS_BASE_SHIFT;
  /* A newer kernel may have kinds that nobody here can name. */
  if (type > KVM_STATS_TYPE_MAX >> KVM_STATS_TYPE_SHIFT || unit > KVM_STATS_UNIT_MAX >> KVM_STATS_UNIT_SHIFT
      || base >= G_N_ELEMENTS (bases))
    return false;
  if (!read_all (s->fd, s->values, desc->size * sizeof *s->values, (uint64_t) s->head.data_offset + desc->offset))
    return false;
  s->stat = (VmAccelStat){ desc->name,        type,           (VmAccelStatUnit) unit,
                           (int) bases[base], desc->exponent, desc->bucket_size,
                           desc->size,        s->values };
  return true;
}

void
kvm_foreach_stat (VmAccel *base, VmVcpu *vcpu, void (*func) (const VmAccelStat *stat, void *opaque), void *opaque)
{
  int of = vcpu ? kvm_vcpu (vcpu)->fd : ((KvmAccel *) base)->vm_fd;
  g_autofree Source *s = g_new0 (Source, 1);

  s->fd = ioctl (of, KVM_GET_STATS_FD, NULL);
  if (s->fd < 0)
    return; /* an older kernel: there are none */
  if (read_all (s->fd, &s->head, sizeof s->head, 0) && s->head.name_size && s->head.name_size <= 256)
    {
      g_autofree struct kvm_stats_desc *desc = g_malloc0 (sizeof *desc + s->head.name_size);
      for (unsigned i = 0; i < MIN (s->head.num_desc, MAX_STATS); i++)
        if (read_stat (s, i, desc))
          func (&s->stat, opaque);
    }
  close (s->fd);
}
