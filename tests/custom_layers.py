"""Networks with layers as people write them, in a module that other processes can import."""

import keras
from keras import ops


class Linear(keras.layers.Layer):
    """Weights in build, a get_config."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.kernel = self.add_weight(shape=(input_shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x):
        return self.activation(ops.matmul(x, self.kernel) + self.bias)

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "units": self.units, "activation": activation}


class Gain(keras.layers.Layer):
    """Weights in build; Keras makes the config from the arguments of __init__."""

    def __init__(self, start=1.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        self.gain = self.add_weight(shape=input_shape[-1:], initializer=keras.initializers.Constant(self.start))
        super().build(input_shape)

    def call(self, x):
        return x * self.gain


@keras.saving.register_keras_serializable("tests")
class Registered(Gain):
    pass


class Eager(keras.layers.Layer):
    """Weights and random numbers that are made in __init__."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.shift = self.add_weight(shape=(width,), initializer="ones")
        self.seeds = keras.random.SeedGenerator(3)

    def call(self, x, training=False):
        noise = keras.random.normal(ops.shape(x), seed=self.seeds) if training else 0.0
        return x + self.shift + noise


class Block(keras.layers.Layer):
    """Sublayers, one of them made in build and some in a list, each again with weights of its own."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.linear = Linear(units, cubed)
        self.several = [keras.layers.Dense(units, cubed), Gain(0.5)]

    def build(self, input_shape):
        self.linear.build(input_shape)
        self.late = keras.layers.Dense(self.units)
        self.late.build((None, self.units))

    def call(self, x, training=False):
        x = self.late(self.linear(x))
        for layer in self.several:
            x = layer(x)
        return x

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Subclassed(keras.Model):
    def __init__(self, units, outputs, output_activation, **kwargs):
        super().__init__(**kwargs)
        self.units, self.outputs_, self.output_activation = units, outputs, output_activation
        self.block = Block(units)
        self.dropout = keras.layers.Dropout(0.2)
        self.last = keras.layers.Dense(outputs, output_activation)

    def call(self, x, training=False):
        return self.last(self.dropout(self.block(x), training=training))

    def get_config(self):
        return {"units": self.units, "outputs": self.outputs_, "output_activation": self.output_activation}


class Plain(keras.Model):
    """A subclass without arguments of its own and without a get_config."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gain = Gain()
        self.hidden = keras.layers.Dense(6, "relu")
        self.last = keras.layers.Dense(3, "sigmoid")

    def call(self, x):
        return self.last(self.hidden(self.gain(x)))


class Silent(keras.Model):
    """A subclass with arguments and without a get_config."""

    def __init__(self, outputs):
        super().__init__()
        self.last = keras.layers.Dense(outputs, "sigmoid")

    def call(self, x):
        return self.last(x)


class Forgetful(keras.layers.Layer):
    """Its config leaves out an argument of __init__."""

    def __init__(self, factors=(1.0,), **kwargs):
        super().__init__(**kwargs)
        self.factors = list(factors)

    def call(self, x):
        return x * self.factors[0]

    def get_config(self):
        return super().get_config()


class Small(keras.initializers.Initializer):
    def __init__(self, scale=0.1):
        self.scale = scale

    def __call__(self, shape, dtype=None):
        return self.scale * keras.random.normal(shape, dtype=dtype)

    def get_config(self):
        return {"scale": self.scale}


class Positive(keras.constraints.Constraint):
    def __call__(self, w):
        return ops.abs(w)


def cubed(x):
    return x + 0.1 * x**3


def _functional(meta, hidden):
    inputs = keras.Input((meta["n_features_in_"],))
    outputs = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])(hidden(inputs))
    return keras.Model(inputs, outputs)


def weights_in_build(meta):
    return _functional(meta, lambda x: Gain()(Linear(6, "relu")(x)))


def weights_in_init(meta):
    return _functional(meta, Eager(meta["n_features_in_"]))


def sublayers(meta):
    return _functional(meta, Block(6))


def shared(meta):
    layer = Linear(meta["n_features_in_"], cubed)
    return _functional(meta, lambda x: layer(layer(x)))


def lambdas(meta):
    return _functional(
        meta, lambda x: keras.layers.Lambda(cubed)(keras.layers.Lambda(lambda x: 2 * x)(Registered(2.0)(x)))
    )


def functions(meta):
    dense = keras.layers.Dense(6, cubed, kernel_initializer=Small(0.5), kernel_constraint=Positive())
    return _functional(meta, lambda x: keras.layers.Activation(cubed)(dense(x)))


def sequential(meta):
    output_activation = keras.layers.Dense(meta["n_outputs_"], meta["output_activation_"])
    return keras.Sequential([Registered(), Linear(6, "relu"), keras.layers.Dropout(0.2), output_activation])


def nested(meta):
    inner = keras.Sequential([Block(6), keras.Sequential([Gain(0.5), keras.layers.Activation(cubed)])])
    return _functional(meta, inner)


def subclassed(meta):
    return Subclassed(6, meta["n_outputs_"], meta["output_activation_"])


def plain(meta):
    return Plain()


def silent(meta):
    return Silent(meta["n_outputs_"])


def forgetful(meta):
    return _functional(meta, Forgetful((2.0, 3.0)))


def closure(meta):
    class Local(Gain):
        pass

    return _functional(meta, Local())


NETWORKS = (
    weights_in_build,
    weights_in_init,
    sublayers,
    shared,
    lambdas,
    functions,
    sequential,
    nested,
    subclassed,
    plain,
)
