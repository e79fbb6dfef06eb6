/* One read of each connection that is ready: what receiving.py does in Python, at less cost.

   `sseload compile` compiles it. Nothing else depends on it. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

/* As reading.READ_BYTES. */
#define READ_BYTES 16384

static long long
nanoseconds(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

/* Store the kernel's timestamp of a message (wall clock, ns); return whether it has one. */
static int
find_timestamp(struct msghdr *message, long long *stamp)
{
    struct cmsghdr *each;
    struct timespec time;

    for (each = CMSG_FIRSTHDR(message); each != NULL; each = CMSG_NXTHDR(message, each)) {
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SO_TIMESTAMPNS
            && each->cmsg_len >= CMSG_LEN(sizeof time)) {
            memcpy(&time, CMSG_DATA(each), sizeof time);
            *stamp = nanoseconds(&time);
            return 1;
        }
    }
    return 0;
}

/* Return the bytes as an object; the previous one if it is the same. Most are copies of a
   broadcast. */
static PyObject *
as_bytes(const char *buffer, Py_ssize_t size, PyObject *previous)
{
    if (previous != NULL && PyBytes_GET_SIZE(previous) == size
        && memcmp(PyBytes_AS_STRING(previous), buffer, (size_t)size) == 0) {
        return Py_NewRef(previous);
    }
    return PyBytes_FromStringAndSize(buffer, size);
}

/* Read a connection; return its bytes, or None and the error's number for a timestamp: 0 if there
   was nothing to read. */
static PyObject *
receive(int fd, PyObject *previous, long long *stamp, PyObject **late)
{
    char buffer[READ_BYTES];
    char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec part = {.iov_base = buffer, .iov_len = sizeof buffer};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    struct timespec now;
    long long read;
    ssize_t size;

    *stamp = 0;
    *late = NULL;
    do {
        size = recvmsg(fd, &message, MSG_DONTWAIT);
    } while (size < 0 && errno == EINTR);
    if (size < 0) {
        *late = Py_NewRef(Py_None);
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            *stamp = errno;
        }
        return Py_NewRef(Py_None);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    read = nanoseconds(&now);
    if (find_timestamp(&message, stamp)) {
        *late = PyLong_FromLongLong(read - *stamp);
        if (*late == NULL) {
            return NULL;
        }
    }
    else {
        *stamp = read;
        *late = Py_NewRef(Py_None);
    }
    return as_bytes(buffer, size, previous);
}

/* Return the row of a connection; NULL with an exception if memory runs out, or if `ready` is not
   what it must be. */
static PyObject *
make_row(PyObject *ready, PyObject **previous)
{
    PyObject *row, *data, *late, *stamp;
    long long stamp_ns;
    long fd;

    if (!PyTuple_Check(ready) || PyTuple_GET_SIZE(ready) != 2) {
        PyErr_SetString(PyExc_TypeError, "a pair of a file descriptor and events is required");
        return NULL;
    }
    fd = PyLong_AsLong(PyTuple_GET_ITEM(ready, 0));
    if (fd == -1 && PyErr_Occurred()) {
        return NULL;
    }
    data = receive((int)fd, *previous, &stamp_ns, &late);
    if (data == NULL) {
        Py_XDECREF(late);
        return NULL;
    }
    stamp = PyLong_FromLongLong(stamp_ns);
    row = stamp == NULL ? NULL : PyTuple_New(5);
    if (row == NULL) {
        Py_DECREF(data);
        Py_DECREF(late);
        Py_XDECREF(stamp);
        return NULL;
    }
    PyTuple_SET_ITEM(row, 0, Py_NewRef(PyTuple_GET_ITEM(ready, 0)));
    PyTuple_SET_ITEM(row, 1, Py_NewRef(PyTuple_GET_ITEM(ready, 1)));
    PyTuple_SET_ITEM(row, 2, data);
    PyTuple_SET_ITEM(row, 3, stamp);
    PyTuple_SET_ITEM(row, 4, late);
    if (PyBytes_Check(data)) {
        *previous = data; /* borrowed: the list of rows keeps it */
    }
    return row;
}

static PyObject *
receive_each(PyObject *Py_UNUSED(module), PyObject *ready)
{
    PyObject *rows, *row, *previous = NULL;
    Py_ssize_t at;

    if (!PyList_Check(ready)) {
        PyErr_SetString(PyExc_TypeError, "a list is required");
        return NULL;
    }
    rows = PyList_New(PyList_GET_SIZE(ready));
    if (rows == NULL) {
        return NULL;
    }
    for (at = 0; at < PyList_GET_SIZE(rows); at++) {
        row = make_row(PyList_GET_ITEM(ready, at), &previous);
        if (row == NULL) {
            Py_DECREF(rows);
            return NULL;
        }
        PyList_SET_ITEM(rows, at, row);
    }
    return rows;
}

static PyMethodDef methods[] = {
    {"receive_each", receive_each, METH_O, "Read each connection once; see receiving.py."},
    {NULL, NULL, 0, NULL},
};

static int
add_constants(PyObject *module)
{
    /* What it was compiled from, and what receiving.py would read at most. */
    return PyModule_AddStringConstant(module, "SOURCE", SOURCE) < 0
           || PyModule_AddIntConstant(module, "READ_BYTES", READ_BYTES) < 0
           ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, add_constants},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_receiving",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__receiving(void)
{
    return PyModuleDef_Init(&definition);
}
