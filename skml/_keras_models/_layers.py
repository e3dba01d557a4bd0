"""Layers of the default network in Keras."""

import functools

import keras
import tensorflow as tf
from keras import ops

from skml._default_network._encoding import CLIP, FAR
from skml._keras._sparse_ops import product, used_columns


@keras.saving.register_keras_serializable("skml")
class Scaling(keras.layers.Layer):
    """``(x - shift) * scale`` with values that are not trained; sparse rows are not shifted.

    Parameters
    ----------
    output_dtype : str
        The dtype of the outputs. The dtype of the layer is that of the computation: in float32, columns far from 0
        would lose their digits.
    """

    def __init__(self, output_dtype, **kwargs):
        super().__init__(**kwargs)
        self.output_dtype = output_dtype

    def build(self, input_shape):
        """Create the two variables, which are not trainable."""
        self.shift = self.add_weight(shape=input_shape[-1:], initializer="zeros", trainable=False, name="shift")
        self.scale = self.add_weight(shape=input_shape[-1:], initializer="ones", trainable=False, name="scale")

    def call(self, inputs):
        """Return the scaled inputs."""
        if isinstance(inputs, tf.SparseTensor):
            return inputs.with_values(inputs.values * ops.take(self.scale, inputs.indices[:, 1]))
        scaled = ops.cast((inputs - self.shift) * self.scale, self.output_dtype)
        return ops.where(ops.isnan(inputs), ops.zeros_like(scaled), scaled)  # a missing value counts as the mean

    def compute_output_spec(self, inputs):
        """Return the spec of the outputs: as that of the inputs, in the dtype of the outputs."""
        return keras.KerasTensor(inputs.shape, self.output_dtype, inputs.sparse)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "output_dtype": self.output_dtype}


@keras.saving.register_keras_serializable("skml")
class ClippedColumns(keras.layers.Layer):
    """Columns of dense X after the smooth clip, and indicators of missing values, as in `ColumnEncoding`.

    Parameters
    ----------
    n_missing : int
        Number of columns with an indicator.
    output_dtype : str
        The dtype of the outputs; the dtype of the layer is that of the computation, as in `Scaling`.
    """

    def __init__(self, n_missing, output_dtype, **kwargs):
        super().__init__(**kwargs)
        self.n_missing = n_missing
        self.output_dtype = output_dtype

    def build(self, input_shape):
        """Create the variables, which are not trainable."""
        add = functools.partial(self.add_weight, initializer="zeros", trainable=False)
        self.shift, self.scale, self.mean = (
            add(shape=input_shape[-1:], name=name) for name in ("shift", "scale", "mean")
        )
        self.missing = add(shape=(self.n_missing,), dtype="int32", name="missing")
        self.missing_mean = add(shape=(self.n_missing,), name="missing_mean")

    def call(self, inputs):
        """Return the clipped columns, then the indicators."""
        values = ops.clip((inputs - self.shift) * self.scale, -FAR, FAR)
        values = values * ops.rsqrt(1 + ops.square(values / CLIP)) - self.mean
        absent = ops.isnan(inputs)
        values = ops.where(absent, ops.zeros_like(values), values)
        indicators = ops.cast(ops.take(absent, self.missing, axis=1), values.dtype) - self.missing_mean
        return ops.cast(ops.concatenate([values, indicators], axis=1), self.output_dtype)

    def compute_output_spec(self, inputs):
        """Return the spec of the outputs."""
        return keras.KerasTensor((inputs.shape[0], inputs.shape[1] + self.n_missing), self.output_dtype)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "n_missing": self.n_missing, "output_dtype": self.output_dtype}


@keras.saving.register_keras_serializable("skml")
class RampFeatures(keras.layers.Layer):
    """Ramps of dense columns for some members, as in `Ramps`: (batch, features) becomes (n_members, batch, n_ramps).

    Parameters
    ----------
    n_members, n_ramps : int
    output_dtype : str
        As in `ClippedColumns`.
    """

    def __init__(self, n_members, n_ramps, output_dtype, **kwargs):
        super().__init__(**kwargs)
        self.n_members = n_members
        self.n_ramps = n_ramps
        self.output_dtype = output_dtype

    def build(self, input_shape):
        """Create the variables, which are not trainable."""
        add = functools.partial(self.add_weight, initializer="zeros", trainable=False)
        shape = (self.n_members, self.n_ramps)
        self.columns = add(shape=shape, dtype="int32", name="columns")
        self.shift, self.slope, self.low, self.high = (
            add(shape=shape, name=name) for name in ("shift", "slope", "low", "high")
        )

    def call(self, inputs):
        """Return the ramps of all members."""
        return self._features(inputs, slice(None))

    def of_member(self, inputs, j):
        """Return the ramps of member j, shape (1, batch, n_ramps)."""
        return self._features(inputs, slice(j, j + 1))

    def _features(self, inputs, members):
        shift, slope, low, high = (v.value[members, None] for v in (self.shift, self.slope, self.low, self.high))
        values = ops.transpose(ops.take(inputs, self.columns.value[members], axis=1), (1, 0, 2))
        ramps = ops.cast(ops.clip((values - shift) * slope, low, high), self.output_dtype)
        return ops.where(ops.isnan(values), ops.zeros_like(ramps), ramps)

    def compute_output_spec(self, inputs):
        """Return the spec of the outputs."""
        return keras.KerasTensor((self.n_members, inputs.shape[0], self.n_ramps), self.output_dtype)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        own = {"n_members": self.n_members, "n_ramps": self.n_ramps, "output_dtype": self.output_dtype}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("skml")
class EncodedDense(keras.layers.Layer):
    """The first layer of the default network for encoded columns.

    The inputs are the columns, shape (batch, n_columns), and the ramps of some members, each of shape
    (members, batch, n_ramps). A list of one is the columns alone.

    Parameters
    ----------
    n_members, units : int
    first_members : list of int
        The first member with each of the ramps; the others follow it.
    activation : str, default=None
    """

    def __init__(self, n_members, units, first_members=(), activation=None, **kwargs):
        super().__init__(**kwargs)
        self.n_members = n_members
        self.units = units
        self.first_members = list(first_members)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        """Create kernels, the bias, and the factors of the columns, which are not trained."""
        (_, n_columns), *ramps = input_shape
        width = self.n_members * self.units
        self.kernel = self.add_weight(shape=(n_columns, width), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")
        self.ramp_kernels = [
            self.add_weight(shape=(n_members, n_ramps, self.units), initializer="zeros", name=f"ramp_kernel_{k}")
            for k, (n_members, _, n_ramps) in enumerate(ramps)
        ]
        self.factor = self.add_weight(
            shape=(n_columns, self.n_members), initializer="ones", trainable=False, name="factor"
        )

    def call(self, inputs):
        """Return the outputs, shape (n_members, batch, units); without the axis of members if there is one."""
        columns, *ramps = inputs
        sums = ops.matmul(columns, ops.reshape(self._weighed_kernel(), (-1, self.n_members * self.units))) + self.bias
        sums = ops.transpose(ops.reshape(sums, (-1, self.n_members, self.units)), (1, 0, 2))
        parts, done = [], 0
        for first, features, kernel in zip(self.first_members, ramps, self.ramp_kernels, strict=True):
            stop = first + kernel.shape[0]
            parts += [sums[done:first], sums[first:stop] + ops.matmul(features, kernel)]
            done = stop
        sums = ops.concatenate([*parts, sums[done:]], axis=0) if parts else sums
        return self.activation(sums[0] if self.n_members == 1 else sums)

    def compute_output_spec(self, inputs):
        """Return the spec of the outputs."""
        shape = (inputs[0].shape[0], self.units)
        return keras.KerasTensor(shape if self.n_members == 1 else (self.n_members, *shape), inputs[0].dtype)

    def of_members(self, inputs, members):
        """Return the outputs of some members, shape (len(members), batch, units).

        Parameters
        ----------
        inputs : list of tensors
            As in `call`, the ramps of one member each, shape (1, batch, n_ramps).
        members : list of scalar tensors
            One of each kind. Its kind has the ramps with the number of the kind's position among those that have any.
        """
        columns, *ramps = inputs
        kernel, bias = self._weighed_kernel(), ops.reshape(self.bias, (self.n_members, self.units))
        sums = [ops.matmul(columns, ops.take(kernel, j, axis=1)) + bias[j] for j in members]
        per_kind = self.n_members // len(members)
        for first, features, kernel in zip(self.first_members, ramps, self.ramp_kernels, strict=True):
            kind = first // per_kind
            sums[kind] = sums[kind] + ops.matmul(features[0], ops.take(kernel, members[kind] - first, axis=0))
        return self.activation(ops.stack(sums))

    def _weighed_kernel(self):
        kernel = ops.reshape(self.kernel, (-1, self.n_members, self.units))
        return kernel * ops.expand_dims(self.factor, -1)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        own = {"n_members": self.n_members, "units": self.units, "first_members": self.first_members}
        return {**super().get_config(), **own, "activation": keras.activations.serialize(self.activation)}


@keras.saving.register_keras_serializable("skml")
class Dropout(keras.layers.Layer):
    """Dropout of dense inputs or of the stored values of sparse inputs, with a variable as its rate.

    The rate can change during training, and a traced graph can be used with other rates. It is rounded to multiples of
    1/256: a random byte decides about each entry, which takes a fifth of the time of a random float.

    Parameters
    ----------
    rate : float
        The initial rate.
    is_input : bool, default=False
        Whether it drops inputs of the network, whose rate is another one.
    """

    def __init__(self, rate, is_input=False, **kwargs):
        super().__init__(**kwargs)
        self.initial_rate = rate
        self.is_input = is_input
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape):
        """Create the variable for the rate."""
        initializer = keras.initializers.Constant(self.initial_rate)
        self.rate = self.add_weight(shape=(), initializer=initializer, trainable=False, name="rate")

    def call(self, inputs, training=False):
        """Return the inputs; in training a fraction of the entries is set to 0 and the others are scaled up."""
        if not training:
            return inputs
        if isinstance(inputs, tf.SparseTensor):
            return inputs.with_values(self._drop(inputs.values))
        return self._drop(inputs)

    def _drop(self, values):
        size = tf.size(values)
        seed = tf.cast(self.seed_generator.next(), tf.int64)
        words = tf.random.stateless_uniform([(size + 3) // 4], seed, minval=None, maxval=None, dtype=tf.int32)
        random = tf.reshape(tf.reshape(tf.bitcast(words, tf.uint8), [-1])[:size], tf.shape(values))
        steps = tf.minimum(tf.round(self.rate * 256), 255)
        kept = tf.cast(random >= tf.cast(steps, tf.uint8), values.dtype)
        return values * (kept * tf.cast(256 / (256 - steps), values.dtype))

    def compute_output_spec(self, inputs, training=False):
        """Return the spec of the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype, inputs.sparse)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "rate": self.initial_rate, "is_input": self.is_input}


@keras.saving.register_keras_serializable("skml")
class RowDropout(keras.layers.Layer):
    """Sets all values of some sparse rows to 0 in training.

    The biases learn to predict a row without a stored value, which the training data may not contain.

    Parameters
    ----------
    share : float
        Fraction of the rows that are set to 0.
    """

    def __init__(self, share, **kwargs):
        super().__init__(**kwargs)
        self.share = share
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs, training=False):
        """Return the rows; in training a fraction of them is set to 0."""
        if not training or not isinstance(inputs, tf.SparseTensor):
            return inputs
        seed = tf.cast(self.seed_generator.next(), tf.int64)
        random = tf.random.stateless_uniform([tf.cast(inputs.dense_shape[0], tf.int32)], seed)
        kept = tf.cast(random >= self.share, inputs.dtype)
        return inputs.with_values(inputs.values * tf.gather(kept, inputs.indices[:, 0]))

    def compute_output_spec(self, inputs, training=False):
        """Return the spec of the inputs."""
        return keras.KerasTensor(inputs.shape, inputs.dtype, inputs.sparse)

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "share": self.share}


@keras.saving.register_keras_serializable("skml")
class SparseInputDense(keras.layers.Layer):
    """A dense layer for sparse rows, with the units of all members side by side.

    It reads and updates only the rows of its kernel that belong to used columns. `FusedAdam` keeps one second moment
    for each unit of the kernel.

    Parameters
    ----------
    n_members, units : int
    activation : str, default=None
    """

    def __init__(self, n_members, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.n_members = n_members
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        """Create the kernel, shape (features, n_members, units), and the bias, shape (n_members, units)."""
        shape = (self.n_members, self.units)
        self.kernel = self.add_weight(shape=(input_shape[-1], *shape), initializer="zeros", name="kernel")
        self.kernel.one_moment_per_unit = True
        self.bias = self.add_weight(shape=shape, initializer="zeros", name="bias")

    def call(self, inputs):
        """Return the outputs, shape (batch, n_members * units)."""
        width = self.n_members * self.units
        if isinstance(inputs, tf.SparseTensor):
            columns, inputs = used_columns(inputs)
            rows = tf.reshape(tf.gather(self.kernel.value, columns), (-1, width))
            outputs = product(inputs, rows)
        else:
            outputs = ops.matmul(inputs, ops.reshape(self.kernel, (-1, width)))
        return self.activation(outputs + ops.reshape(self.bias, (width,)))

    def compute_output_spec(self, inputs):
        """Return the spec of the outputs."""
        return keras.KerasTensor((inputs.shape[0], self.n_members * self.units), inputs.dtype)

    def of_member(self, inputs, j):
        """Return the outputs of member j for sparse rows, shape (batch, units)."""
        columns, inputs = used_columns(inputs)
        entries = tf.stack([columns, tf.fill(tf.shape(columns), tf.cast(j, columns.dtype))], axis=1)
        rows = tf.gather_nd(self.kernel.value, entries)
        return self.activation(product(inputs, rows) + self.bias[j])

    def get_config(self):
        """Return the arguments of ``__init__``."""
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "n_members": self.n_members, "units": self.units, "activation": activation}


@keras.saving.register_keras_serializable("skml")
class MemberSplit(keras.layers.Layer):
    """Splits the units of the first layer by member: (batch, m * u) becomes (m, batch, u)."""

    def __init__(self, n_members, **kwargs):
        super().__init__(**kwargs)
        self.n_members = n_members

    def call(self, inputs):
        """Return the inputs with an axis of members in front."""
        width = inputs.shape[-1] // self.n_members
        return ops.transpose(ops.reshape(inputs, (-1, self.n_members, width)), (1, 0, 2))

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "n_members": self.n_members}


@keras.saving.register_keras_serializable("skml")
class StackedDense(keras.layers.Layer):
    """One dense layer for each member, computed as a batched product; the input is (n_members, batch, features)."""

    def __init__(self, units, activation=None, has_residual=False, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)
        self.has_residual = has_residual

    def build(self, input_shape):
        """Create the kernel, shape (n_members, features, units), and the bias, shape (n_members, units)."""
        n_members, _, n_features = input_shape
        self.kernel = self.add_weight(shape=(n_members, n_features, self.units), initializer="zeros", name="kernel")
        self.bias = self.add_weight(shape=(n_members, self.units), initializer="zeros", name="bias")

    def call(self, inputs):
        """Return the outputs, shape (n_members, batch, units)."""
        return self.activation(ops.matmul(inputs, self.kernel) + ops.expand_dims(self.bias, 1))

    def compute_output_shape(self, input_shape):
        """Return (n_members, batch, units)."""
        return (*input_shape[:-1], self.units)

    def of_members(self, inputs, members):
        """Return the outputs of some members, shape (len(members), batch, units)."""
        kernel, bias = (ops.stack([ops.take(v, j, axis=0) for j in members]) for v in (self.kernel, self.bias))
        return self.activation(ops.matmul(inputs, kernel) + ops.expand_dims(bias, 1))

    def get_config(self):
        """Return the arguments of ``__init__``."""
        activation = keras.activations.serialize(self.activation)
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activation,
            "has_residual": self.has_residual,
        }


@keras.saving.register_keras_serializable("skml")
class Average(keras.layers.Layer):
    """The mean of the members' probabilities.

    Parameters
    ----------
    output_activation : {"sigmoid", "softmax"}
    member_weights : list of float, default=None
        With the sum 1; None for equal ones.
    """

    def __init__(self, output_activation, member_weights=None, **kwargs):
        super().__init__(**kwargs)
        self.output_activation = output_activation
        self.member_weights = member_weights

    def call(self, logits):
        """Return the mean probabilities, shape (batch, n_outputs), of logits of shape (n_members, batch, n_outputs)."""
        proba = probabilities(logits, self.output_activation)
        if self.member_weights is None:
            return ops.mean(proba, axis=0)
        return ops.tensordot(ops.convert_to_tensor(self.member_weights, dtype=proba.dtype), proba, 1)

    def compute_output_shape(self, input_shape):
        """Return (batch, n_outputs)."""
        return input_shape[1:]

    def get_config(self):
        """Return the arguments of ``__init__``."""
        own = {"output_activation": self.output_activation, "member_weights": self.member_weights}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("skml")
class Calibrated(keras.layers.Layer):
    """Calibration of probabilities, by slope and offset of log-odds or, for a softmax, slope of log-probabilities.

    Parameters
    ----------
    output_activation : {"sigmoid", "softmax"}
    slope : float
    offset : float or list of float
    """

    def __init__(self, output_activation, slope, offset, **kwargs):
        super().__init__(**kwargs)
        self.output_activation = output_activation
        self.slope = slope
        self.offset = offset

    def call(self, proba):
        """Return the calibrated probabilities."""
        if self.output_activation == "softmax":
            return ops.softmax(self.slope * ops.log(proba), axis=-1)
        log_odds = ops.log(proba) - ops.log1p(-proba)
        return ops.sigmoid(self.slope * log_odds + ops.convert_to_tensor(self.offset, dtype=proba.dtype))

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {
            **super().get_config(),
            "output_activation": self.output_activation,
            "slope": self.slope,
            "offset": self.offset,
        }


@keras.saving.register_keras_serializable("skml")
class Coherent(keras.layers.Layer):
    """Raise the probability of each label to the largest one of its descendants.

    Parameters
    ----------
    ancestors, descendants : list of int
        The columns of each pair of a label and itself or a descendant, sorted by the first.
    """

    def __init__(self, ancestors, descendants, **kwargs):
        super().__init__(**kwargs)
        self.ancestors = ancestors
        self.descendants = descendants

    def call(self, proba):
        """Return the raised probabilities, or logits."""
        values = ops.take(ops.transpose(proba), ops.convert_to_tensor(self.descendants, "int32"), axis=0)
        segments = ops.convert_to_tensor(self.ancestors, "int32")
        return ops.transpose(ops.segment_max(values, segments, num_segments=proba.shape[-1]))

    def compute_output_shape(self, input_shape):
        """Return the shape of the input."""
        return input_shape

    def get_config(self):
        """Return the arguments of ``__init__``."""
        return {**super().get_config(), "ancestors": self.ancestors, "descendants": self.descendants}


def probabilities(logits, output_activation):
    """Return the sigmoid or softmax of logits."""
    return ops.sigmoid(logits) if output_activation == "sigmoid" else ops.softmax(logits, axis=-1)
