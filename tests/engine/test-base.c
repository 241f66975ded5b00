/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sizes, bytes, errors and the log. */
#include "engine/base/log.h"
#include "engine/base/trace.h"

#include <glib/gstdio.h>
#include <unistd.h>

static void
test_bits (void)
{
  uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

  g_assert_cmphex (VM_MASK (7, 4), ==, 0xf0);
  g_assert_cmphex (VM_MASK (63, 0), ==, UINT64_MAX);
  g_assert_cmphex (VM_FIELD_GET (0xabcd, 11, 4), ==, 0xbc);
  g_assert_cmphex (vm_load_le32 (bytes + 1), ==, 0x05040302);
  g_assert_cmphex (vm_load_be16 (bytes + 1), ==, 0x0203);
  g_assert_cmphex (vm_load_le (bytes, 3), ==, 0x030201);
  vm_store_le (bytes, 0xaabb, 2);
  g_assert_cmphex (bytes[0], ==, 0xbb);
  g_assert_cmphex (bytes[2], ==, 3);
  g_assert_true (vm_is_pow2 (4096) && !vm_is_pow2 (0) && !vm_is_pow2 (3));
}

static void
test_sizes (void)
{
  static const struct {
    const char *text;
    char        unit;
    uint64_t    bytes;
  } good[] = {
    { "0", 'B', 0 },
    { "512", 'M', 512 * VM_MIB },
    { "64.5M", 'B', 64 * VM_MIB + VM_MIB / 2 },
    { "1.5G", 'M', 3 * VM_GIB / 2 },
    { "0x1000", 'B', 0x1000 },
    { "0x10M", 'B', 16 * VM_MIB },
    { "4g", 'B', 4 * VM_GIB },
    { "1k", 'M', 1024 },
    { "15E", 'B', UINT64_C (15) << 60 },
    { "18446744073709551615", 'B', UINT64_MAX },
    { "0.999999999999999999999999999K", 'B', 1023 },
  };
  static const char *const bad[] = { "", "5x", "-5", "abc", "1.5", "0x", "1.M", "1MM", " 1", "16E",
                                     "99999999999999999999", "M", "0x1.5M", "1e3" };
  uint64_t bytes;

  for (size_t i = 0; i < G_N_ELEMENTS (good); i++)
    {
      g_assert_true (vm_parse_size (good[i].text, good[i].unit, &bytes, NULL));
      g_assert_cmpuint (bytes, ==, good[i].bytes);
    }
  for (size_t i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_false (vm_parse_size (bad[i], 'B', &bytes, &error));
      g_assert_error (error, VM_ERROR, VM_ERROR_FAILED);
    }
  g_autoptr (GError) error = NULL;
  vm_parse_size_param ("mem", "16E", 'B', &bytes, &error);
  g_assert_cmpstr (error->message, ==, "Value '16E' is out of range for parameter 'mem'");
}

static void
test_log_items (void)
{
  g_autoptr (GError) error = NULL;
  uint32_t items;

  g_assert_true (vm_log_parse_items ("int,cpu_reset", &items, NULL, NULL));
  g_assert_cmphex (items, ==, VM_LOG_INT | VM_LOG_CPU_RESET);
  g_assert_true (vm_log_parse_items ("all", &items, NULL, NULL));
  g_assert_true (items & VM_LOG_MMU);
  g_assert_false (vm_log_parse_items ("int,foo", &items, NULL, &error));
  g_assert_nonnull (strstr (error->message, "foo"));
}

static void
test_log_filter (void)
{
  static const char *const bad[] = { "", "1", "1+", "+1", "1+0", "1-0", "5..1", "1.2", "x+1", "1+x", "1+1,", "0-2" };
  g_autoptr (GError) error = NULL;

  g_assert_true (vm_log_covers (0));
  GArray *ranges = vm_log_parse_filter ("0x1000+0x10,0x2000-0x10,0x3000..0x300f,0..0", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (ranges->len, ==, 4);
  vm_log_set_filter (ranges);
  g_assert_true (vm_log_covers (0) && vm_log_covers (0x1000) && vm_log_covers (0x100f));
  g_assert_false (vm_log_covers (1) || vm_log_covers (0xfff) || vm_log_covers (0x1010));
  g_assert_true (vm_log_covers (0x1ff1) && vm_log_covers (0x2000));
  g_assert_false (vm_log_covers (0x1ff0) || vm_log_covers (0x2001));
  g_assert_true (vm_log_covers (0x3000) && vm_log_covers (0x300f));
  g_assert_false (vm_log_covers (0x3010));
  vm_log_set_filter (NULL);
  g_assert_true (vm_log_covers (0x3010));
  for (unsigned i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_assert_null (vm_log_parse_filter (bad[i], &error));
      g_assert_nonnull (error);
      g_clear_error (&error);
    }
}

static void
test_log_traces (void)
{
  g_autoptr (GPtrArray) traces = g_ptr_array_new_with_free_func (g_free);
  uint32_t items;

  g_assert_true (vm_log_parse_items ("trace:ide_*,int,trace:pci_cfg_read", &items, traces, NULL));
  g_assert_cmphex (items, ==, VM_LOG_INT);
  g_assert_cmpuint (traces->len, ==, 2);
  g_assert_cmpstr (traces->pdata[0], ==, "ide_*");
  g_assert_false (vm_log_parse_items ("trace:", &items, traces, NULL));
  g_assert_cmpuint (vm_trace_set ("ide_*", true), ==, 3);
  g_assert_true (vm_trace_states[VM_TRACE_IDE_RESET]);
  g_assert_cmpuint (vm_trace_set ("ide_reset", false), ==, 1);
  g_assert_false (vm_trace_states[VM_TRACE_IDE_RESET]);
  g_assert_true (vm_trace_states[VM_TRACE_IDE_EXEC_CMD]);
  g_assert_cmpuint (vm_trace_set ("none_such", true), ==, 0);
  vm_trace_set ("*", false);
}

static char *
read_log (const char *path)
{
  char *text = NULL;

  g_assert_true (vm_log_set_file (NULL, NULL));
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static unsigned
count_lines (const char *text)
{
  unsigned n = 0;

  for (; *text; text++)
    n += *text == '\n';
  return n;
}

static void
test_guest_errors (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vm-log-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "log-%d", NULL);
  g_autofree char *real = g_strdup_printf ("%s/log-%d", dir, getpid ());

  vm_log_set_mask (0);
  vm_guest_error ("x", "not seen");
  g_assert_true (vm_log_set_file (path, NULL));
  vm_log_set_mask (VM_LOG_GUEST_ERROR);
  for (unsigned i = 0; i < 5000; i++)
    vm_guest_error ("uart", "write %u to a read-only register", i);
  vm_guest_unimp ("uart", "not asked for");
  g_autofree char *text = read_log (real);
  g_assert_true (g_str_has_prefix (text, "uart: write 0 to a read-only register\n"));
  /* The second may have ended meanwhile. */
  g_assert_cmpuint (count_lines (text), >=, 100);
  g_assert_cmpuint (count_lines (text), <=, 202);
  vm_log_set_mask (0);
  g_unlink (real);
  g_rmdir (dir);
}

static gpointer
log_from_thread (gpointer data)
{
  vm_log (VM_LOG_INT, "from another thread\n");
  return GINT_TO_POINTER ((int) gettid ());
}

static void
test_log_per_thread (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vm-log-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "%d.log", NULL);
  g_autoptr (GError) error = NULL;

  vm_log_set_mask (VM_LOG_INT | VM_LOG_TID);
  g_assert_false (vm_log_set_file ("/tmp/without-number", &error));
  g_assert_true (vm_log_set_file (path, NULL));
  int tid = GPOINTER_TO_INT (g_thread_join (g_thread_new ("log", log_from_thread, NULL)));
  g_autofree char *real = g_strdup_printf ("%s/%d.log", dir, tid);
  g_autofree char *text = read_log (real);
  g_assert_cmpstr (text, ==, "from another thread\n");
  vm_log_set_mask (0);
  g_unlink (real);
  g_rmdir (dir);
}

static void
test_log_file_errors (void)
{
  g_autoptr (GError) error = NULL;

  g_assert_false (vm_log_set_file ("/nonexistent/x", &error));
  g_assert_cmpstr (error->message, ==, "Error opening logfile /nonexistent/x: No such file or directory");
  g_clear_error (&error);
  g_assert_false (vm_log_set_file ("/tmp/x%s", &error));
  g_assert_cmpstr (error->message, ==, "Bad logfile template: /tmp/x%s");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/base/bits", test_bits);
  g_test_add_func ("/base/sizes", test_sizes);
  g_test_add_func ("/log/items", test_log_items);
  g_test_add_func ("/log/items-filter", test_log_filter);
  g_test_add_func ("/log/items-traces", test_log_traces);
  g_test_add_func ("/log/guest-errors", test_guest_errors);
  g_test_add_func ("/log/per-thread", test_log_per_thread);
  g_test_add_func ("/log/file-errors", test_log_file_errors);
  return g_test_run ();
}
