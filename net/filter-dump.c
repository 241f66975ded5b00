/* SPDX-License-Identifier: GPL-3.0-or-later */
/* -object filter-dump: packets into a file that tcpdump and Wireshark open (libpcap's format). */
#include "engine/base/log.h"
#include "net/filter.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <sys/time.h>

typedef struct FilterDump
{
  VmNetFilter parent;
  char *file; /* properties */
  uint32_t maxlen;
  pcap_t *pcap;
  pcap_dumper_t *out;
  bool failed; /* said once that the disk is full */
  uint8_t *buffer;
} FilterDump;

static bool
dump_start (VmNetFilter *filter, GError **error)
{
  FilterDump *self = (FilterDump *) filter;

  if (!self->file || !*self->file)
    return vm_fail (error, "Parameter 'file' is missing");
  self->pcap = pcap_open_dead (DLT_EN10MB, (int) self->maxlen);
  self->out = self->pcap ? pcap_dump_open (self->pcap, self->file) : NULL;
  if (!self->out)
    {
      vm_fail (error, "net dump: can't open %s: %s", self->file, g_strerror (errno));
      g_clear_pointer (&self->pcap, pcap_close);
      return false;
    }
  self->buffer = g_malloc (VM_NET_FRAME_MAX);
  return true;
}

static void
dump_stop (VmNetFilter *filter)
{
  FilterDump *self = (FilterDump *) filter;

  g_clear_pointer (&self->out, pcap_dump_close);
  g_clear_pointer (&self->pcap, pcap_close);
  g_clear_pointer (&self->buffer, g_free);
}

static bool
dump_receive (VmNetFilter *filter, VmNetPort *from, const VmNetPacket *packet)
{
  FilterDump *self = (FilterDump *) filter;
  struct pcap_pkthdr header = { .len = packet->len };

  header.caplen = vm_net_packet_copy (packet, 0, self->buffer, MIN (self->maxlen, VM_NET_FRAME_MAX));
  gettimeofday (&header.ts, NULL);
  pcap_dump ((u_char *) self->out, &header, self->buffer);
  if (pcap_dump_flush (self->out) < 0 && !self->failed)
    {
      self->failed = true;
      vm_report_warning ("filter-dump %s: %s cannot be written: packets are missing", filter->parent.id, self->file);
    }
  return false;
}

static bool
set_maxlen (VmObject *obj, void *field, const char *text, GError **error)
{
  char *end;
  guint64 value = g_ascii_strtoull (text, &end, 10);

  if (!g_ascii_isdigit (*text) || *end)
    return vm_fail (error, "Parameter 'maxlen' expects a uint64 value");
  if (value < 1 || value > UINT32_MAX)
    return vm_fail (error, "Property 'filter-dump.maxlen' doesn't take value '%s'", text);
  *(uint32_t *) field = value;
  return true;
}

static char *
get_maxlen (VmObject *obj, const void *field)
{
  return g_strdup_printf ("%u", *(const uint32_t *) field);
}

static const VmPropCustom maxlen_kind = { .type_name = "uint32", .set = set_maxlen, .get = get_maxlen };

static const VmProp dump_props[] = {
  VM_PROP ("file", FilterDump, file, 0, "what the packets are written to"),
  VM_PROP_CUSTOM_KIND ("maxlen", FilterDump, maxlen, &maxlen_kind, "65536", "bytes kept of each"),
  { 0 },
};

static const VmNetFilterClass dump_class = {
  VM_NET_FILTER_USER,
  .start = dump_start,
  .stop = dump_stop,
  .receive = dump_receive,
};

const VmType vm_net_filter_dump_type = {
  .name = "filter-dump",
  .parent = &vm_net_filter_type,
  .size = sizeof (FilterDump),
  .help = "Writes packets to a file",
  .props = dump_props,
  .klass = &dump_class,
};
