"""Losses over the replicas of a `tf.distribute` strategy, which share the rows of a batch."""

import keras
import tensorflow as tf


class Replicated(keras.Model):
    """A functional model whose loss is the same, whether one replica reads a batch or several do."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return what this replica adds to the loss of a batch."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        return loss * share_of_replica(self.loss, y, sample_weight)


def share_of_replica(loss, y, weight):
    """Return the weight of this replica's rows, over the mean of all replicas'; part of a graph.

    Keras averages over replicas, whatever their rows weigh.
    """
    replica = tf.distribute.get_replica_context()
    is_shared = replica is not None and replica.num_replicas_in_sync > 1
    if not is_shared or getattr(loss, "reduction", None) != "mean_with_sample_weight":
        return 1.0
    own = tf.reduce_sum(tf.ones_like(y[:, 0]) if weight is None else weight)
    total = replica.all_reduce(tf.distribute.ReduceOp.SUM, own)
    return tf.math.divide_no_nan(own * replica.num_replicas_in_sync, total)
