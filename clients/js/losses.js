// Made by generate.mjs from GET /v1/losses of lossd: 26 losses. Not to be edited.

export const losses = {
    mse: {
        aliases: ['MSELoss', 'mse_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    l1: {
        aliases: ['L1Loss', 'l1_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    smooth_l1: {
        aliases: ['SmoothL1Loss', 'smooth_l1_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    huber: {
        aliases: ['HuberLoss', 'huber_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    bce: {
        aliases: ['BCELoss', 'binary_cross_entropy'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    bce_with_logits: {
        aliases: ['BCEWithLogitsLoss', 'binary_cross_entropy_with_logits'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}, pos_weight: {kind: 'real'}},
    },
    cross_entropy: {
        aliases: ['CrossEntropyLoss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'index or probability'}, weight: {kind: 'real'}},
        nullable: ['ignore_index'],
    },
    nll: {
        aliases: ['NLLLoss', 'nll_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'index'}, weight: {kind: 'real'}},
        nullable: ['ignore_index'],
    },
    kl_div: {
        aliases: ['KLDivLoss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    hinge_embedding: {
        aliases: ['HingeEmbeddingLoss', 'hinge_embedding_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    cosine_embedding: {
        aliases: ['CosineEmbeddingLoss', 'cosine_embedding_loss'],
        tensors: {input1: {kind: 'real', prediction: true}, input2: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    poisson_nll: {
        aliases: ['PoissonNLLLoss', 'poisson_nll_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    gaussian_nll: {
        aliases: ['GaussianNLLLoss', 'gaussian_nll_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, var: {kind: 'real', prediction: true}},
    },
    margin_ranking: {
        aliases: ['MarginRankingLoss', 'margin_ranking_loss'],
        tensors: {input1: {kind: 'real', prediction: true}, input2: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    soft_margin: {
        aliases: ['SoftMarginLoss', 'soft_margin_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    multi_margin: {
        aliases: ['MultiMarginLoss', 'multi_margin_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'index'}, weight: {kind: 'real'}},
    },
    multilabel_margin: {
        aliases: ['MultiLabelMarginLoss', 'multilabel_margin_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'index'}},
    },
    multilabel_soft_margin: {
        aliases: ['MultiLabelSoftMarginLoss', 'multilabel_soft_margin_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    triplet_margin: {
        aliases: ['TripletMarginLoss', 'triplet_margin_loss', 'TripletMarginWithDistanceLoss', 'triplet_margin_with_distance_loss'],
        tensors: {anchor: {kind: 'real', prediction: true}, positive: {kind: 'real', prediction: true}, negative: {kind: 'real', prediction: true}},
    },
    ctc: {
        aliases: ['CTCLoss', 'ctc_loss'],
        tensors: {log_probs: {kind: 'real', prediction: true}, targets: {kind: 'index'}, input_lengths: {kind: 'index'}, target_lengths: {kind: 'index'}},
    },
    sigmoid_focal: {
        aliases: ['sigmoid_focal_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    dice: {
        aliases: ['DiceLoss', 'dice_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}, weight: {kind: 'real'}},
    },
    log_cosh: {
        aliases: ['LogCosh', 'logcosh'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    quantile: {
        aliases: ['pinball', 'pinball_loss'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    tweedie: {
        aliases: ['tweedie_deviance'],
        tensors: {input: {kind: 'real', prediction: true}, target: {kind: 'real'}},
    },
    info_nce: {
        aliases: ['InfoNCE', 'NTXentLoss', 'nt_xent'],
        tensors: {query: {kind: 'real', prediction: true}, key: {kind: 'real', prediction: true}},
    },
};
